from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from anabranch.api.measurementstatus import (
    MeasurementStatus,
    Shortfall,
    TargetTotals,
)
from anabranch.api.resource import Condition, Status
from anabranch.api.surveystatus import EndedCycle, SurveyStatus
from anabranch.reconcile.events import Event, find_events


def make(kind: str, status: Literal["True", "False"]) -> Condition:
    """A condition with the one reason of these tests."""
    return Condition(
        type=kind,
        status=status,
        reason="BadLines",
        message="line 2: wrong",
        observed_generation=1,
        last_transition_time=datetime(2026, 12, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("kind", ["Stalled", "Failed"])
def test_what_somebody_has_to_mend_is_a_warning(kind: str) -> None:
    """One, although Ready says the same first."""
    conditions = (make("Ready", "False"), make(kind, "True"))
    (event,) = find_events(Status(), Status(conditions=conditions))
    assert (event.is_warning, event.reason) == (True, "BadLines")


def test_what_passes_by_itself_is_none() -> None:
    """It is told all the same."""
    (event,) = find_events(Status(), Status(conditions=(make("Ready", "False"),)))
    assert not event.is_warning


def write(run_id: str, left_out: int = 0, **shortfalls: int) -> MeasurementStatus:
    """The status of a run with so many targets left out, and other shortfalls."""
    return MeasurementStatus(
        run_id=run_id,
        targets=TargetTotals(
            probed=5,
            left_out=left_out,
            message=f"{left_out} left out" if left_out else None,
        ),
        shortfalls=tuple(
            Shortfall(reason=reason, count=count, message=f"{count} of them")
            for reason, count in shortfalls.items()
        ),
    )


def test_what_a_run_is_short_of_is_a_warning_once() -> None:
    """Targets again when more are left out; with another run all of it anew."""
    first = write("1", 2, PacketsDropped=3)
    (targets, dropped) = find_events(MeasurementStatus(run_id="1"), first)
    assert targets == Event(is_warning=True, reason="TargetsLeftOut", note="2 left out")
    assert dropped == Event(is_warning=True, reason="PacketsDropped", note="3 of them")
    assert list(find_events(first, write("1", 2, PacketsDropped=9))) == []
    (more,) = find_events(first, write("1", 3, PacketsDropped=9))
    assert more.note == "3 left out"
    assert len(list(find_events(first, write("2", 2, PacketsDropped=3)))) == 2


def test_a_run_that_lacks_nothing_tells_of_no_targets() -> None:
    """There is nothing to warn of."""
    assert list(find_events(MeasurementStatus(run_id="1"), write("1"))) == []


def end(cycle: int, *, succeeded: bool) -> EndedCycle:
    """A cycle that has ended."""
    return EndedCycle(
        cycle=cycle,
        end_time=datetime(2026, 12, 1, tzinfo=UTC),
        succeeded=succeeded,
        reason="Completed" if succeeded else "AgentsFailed",
        message="",
    )


def test_cycles_that_start_end_or_are_missed_are_events() -> None:
    """Each once; what failed or was missed is a warning."""
    time = datetime(2026, 12, 1, tzinfo=UTC)
    before = SurveyStatus(cycle=1, last_schedule_time=time)
    later = SurveyStatus(
        cycle=2,
        last_schedule_time=time,
        last_missed_time=time,
        last_ended=end(1, succeeded=False),
    )
    events = list(find_events(before, later))
    assert [(each.is_warning, each.reason) for each in events] == [
        (True, "CycleFailed"),
        (True, "CycleMissed"),
        (False, "CycleStarted"),
    ]
    assert list(find_events(later, later)) == []
    last = later.model_copy(update={"last_ended": end(2, succeeded=True)})
    (event,) = find_events(later, last)
    assert (event.is_warning, event.reason) == (False, "CycleSucceeded")
