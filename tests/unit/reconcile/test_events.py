from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from anabranch.api.resource import Condition, Status
from anabranch.reconcile.events import find_events


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
