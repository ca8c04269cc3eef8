"""What is said of a Survey; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.surveystatus import (
    MAX_ACTIVE,
    ActiveCycle,
    EndedCycle,
    SurveyStatus,
)
from anabranch.reconcile.conditions import Conditions
from anabranch.reconcile.cycles import expect_end

if TYPE_CHECKING:
    from datetime import datetime

    from anabranch.api import Survey
    from anabranch.api.resource import Condition
    from anabranch.reconcile.cycles import CycleView, Due, SurveyView

_MAX_MESSAGE = 1024


@dataclass(frozen=True)
class Obstacle:
    """What keeps a survey from going on, until somebody changes something."""

    reason: str
    message: str


def describe_survey(
    seen: SurveyView, due: Due, obstacle: Obstacle | None = None, trouble: str = ""
) -> SurveyStatus:
    """Return the status of a survey.

    ``trouble`` is something that does not keep it from going on.
    """
    before, active = seen.survey.status, seen.active
    conditions = Conditions(seen.survey, before.conditions, seen.now)
    more = f"; {trouble}" if trouble else ""
    if obstacle:
        _tell_obstacle(conditions, obstacle)
    elif seen.survey.spec.suspend:
        message = "suspend is true: no more cycles start"
        conditions.set("Suspended", "Suspended", message)
        conditions.set("Ready", "Suspended", message, holds=False)
    elif active:
        conditions.set("Ready", "Running", _tell_running(active, due) + more)
    else:
        conditions.set("Ready", "Scheduled", _tell_next(due) + more)
    return SurveyStatus(
        observed_generation=seen.survey.metadata.generation,
        conditions=conditions.all,
        cycle=seen.newest.number if seen.newest else None,
        last_schedule_time=seen.newest.scheduled if seen.newest else None,
        last_missed_time=due.missed or before.last_missed_time,
        next_schedule_time=due.next,
        active=tuple(map(_describe_active, active[-MAX_ACTIVE:])),
        active_count=len(active),
        expected_end_time=_expect_end(seen, active),
        last_ended=_describe_ended(seen),
    )


def describe_obstacle(
    survey: Survey, obstacle: Obstacle, now: datetime
) -> SurveyStatus:
    """Return the status of a survey of which nothing else can be said."""
    conditions = Conditions(survey, survey.status.conditions, now)
    _tell_obstacle(conditions, obstacle)
    update = {
        "observed_generation": survey.metadata.generation,
        "conditions": conditions.all,
        "next_schedule_time": None,
    }
    return survey.status.model_copy(update=update)


def _tell_obstacle(conditions: Conditions, obstacle: Obstacle) -> None:
    conditions.set("Stalled", obstacle.reason, obstacle.message)
    conditions.set("Ready", obstacle.reason, obstacle.message, holds=False)


def _tell_running(active: list[CycleView], due: Due) -> str:
    newest = active[-1]
    message = f"cycle {newest.number} runs"
    if told := _tell_progress(newest):
        message += f": {told}"
    if len(active) > 1:
        message += f"; {len(active)} cycles are active"
    if due.waits:
        message += "; the next cycle is due, and waits for its end"
    return message


def _tell_next(due: Due) -> str:
    if due.next is None:
        return "the next cycle starts"
    return f"the next cycle starts at {due.next:%Y-%m-%dT%H:%M:%SZ}"


def _find_ready(cycle: CycleView) -> Condition | None:
    conditions = cycle.measurement.status.conditions if cycle.measurement else ()
    return next((each for each in conditions if each.type == "Ready"), None)


def _tell_progress(cycle: CycleView) -> str:
    ready = _find_ready(cycle)
    return ready.message[:_MAX_MESSAGE] if ready else ""


def _describe_active(cycle: CycleView) -> ActiveCycle:
    found = cycle.measurement
    return ActiveCycle(
        name=cycle.record.measurement,
        cycle=cycle.number,
        start_time=found.status.start_time if found else None,
        message=_tell_progress(cycle) or None,
    )


def _expect_end(seen: SurveyView, active: list[CycleView]) -> datetime | None:
    found = active[-1].measurement if active else None
    started = found.status.start_time if found else None
    return expect_end(started, seen.ends) if started else None


def _describe_ended(seen: SurveyView) -> EndedCycle | None:
    if not seen.ends:
        return None
    end = seen.ends[0]
    return EndedCycle(
        cycle=end.number,
        end_time=end.ended,
        succeeded=end.succeeded,
        reason=end.reason,
        message=end.message[:_MAX_MESSAGE],
    )
