"""What an agent counts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import CollectorRegistry

from anabranch_agent.metrics import AgentCollector, Tally
from exposition import IDLE

if TYPE_CHECKING:
    from anabranch_engine import Statistics

PREFIX = "anabranch_agent_"
FIELDS = (
    *("sent", "unsent", "forbidden", "unroutable", "replies", "foreign"),
    *("forged", "unplanned", "late", "excess", "dropped", "stalled_us", "traced"),
)


def count(**counts: int) -> Statistics:
    """What a prober counted; all else is 0."""
    values: dict[str, Any] = dict.fromkeys(FIELDS, 0) | counts
    return cast("Statistics", SimpleNamespace(**values))


def test_what_grew_is_counted_of_each_prober() -> None:
    """Two of them at a time, and one after another."""
    registry = CollectorRegistry()
    tally = Tally(registry)
    first = count(sent=10, replies=8, late=1, forbidden=4)
    tally.add(first, None)
    tally.add(count(sent=5, forged=2, stalled_us=250_000, traced=3), None)
    tally.add(count(sent=25, replies=18, late=3, forbidden=4, dropped=6), first)

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(PREFIX + name, labels)

    assert read("probes_sent_total") == 30
    assert read("replies_total") == 18
    assert read("dropped_total") == 6
    assert read("traces_total") == 3
    assert read("send_errors_total") == 0
    assert read("stalled_seconds_total") == 0.25
    invalid = {r: read("invalid_total", reason=r) for r in ("forged", "late", "excess")}
    assert invalid == {"forged": 2, "late": 3, "excess": 0}
    assert read("probes_passed_over_total", reason="forbidden") == 4


def test_the_store_is_measured_whatever_it_does() -> None:
    """What it refuses is an error; what is wrong here is not its fault."""
    registry = CollectorRegistry()
    tally = Tally(registry)
    with tally.measure("part"):
        pass
    with pytest.raises(OSError, match="away"), tally.measure("part"):
        raise OSError("away")
    with pytest.raises(ValueError, match="wrong"), tally.measure("part"):
        raise ValueError("wrong")

    def read(name: str) -> float | None:
        return registry.get_sample_value(PREFIX + name, {"call": "part"})

    assert read("store_duration_seconds_count") == 3
    assert read("store_errors_total") == 1


def test_a_lease_that_is_not_held_has_no_age() -> None:
    """An age of 0 would say that it was renewed just now."""
    registry = CollectorRegistry()
    without = replace(IDLE, lease_age=None, held_rounds={"LeaseLost": 2})
    registry.register(AgentCollector(lambda: without, "1"))
    assert registry.get_sample_value(f"{PREFIX}lease_age_seconds") is None
    assert registry.get_sample_value(f"{PREFIX}policy_age_seconds") == 1
    held = {"reason": "LeaseLost"}
    assert registry.get_sample_value(f"{PREFIX}held_rounds", held) == 2
