"""When a Lease may be taken, and what is written then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from anabranch.cluster.lease import look, may_take, write_lease

TIME = datetime(2026, 12, 1, 12, 0, 0, 5, tzinfo=UTC)


def lease(holder: str | None, renewed: str = "2026-12-01T00:00:00.000000Z") -> Any:
    """A Lease as the API server has it."""
    return {"spec": {"holderIdentity": holder, "renewTime": renewed}}


def test_a_free_lease_and_ones_own_are_taken_at_once() -> None:
    """However that is written."""
    for free in (lease(""), lease(None), lease("us"), {"spec": None}, {}):
        assert may_take(look(free, None, 5), "us", 5, 80)


def test_anothers_lease_is_taken_once_it_stood_still() -> None:
    """By one's own clock; each renewal and each change of holder begins anew."""
    seen = look(lease("them"), None, 100)
    assert not may_take(seen, "us", 179.9, 80)
    assert may_take(seen, "us", 180, 80)
    assert look(lease("them"), seen, 150) == seen
    seen = look(lease("them", "2026-12-01T00:00:10.000000Z"), seen, 150)
    assert not may_take(seen, "us", 229, 80)
    seen = look(lease("others", "2026-12-01T00:00:10.000000Z"), seen, 200)
    assert not may_take(seen, "us", 279, 80)
    assert may_take(seen, "us", 280, 80)


def test_a_lease_says_who_holds_it_since_when() -> None:
    """And how often it changed hands; a renewal does not."""
    first = write_lease({"metadata": {"name": "x"}}, "us", TIME, 40)
    assert first == {
        "metadata": {"name": "x"},
        "spec": {
            "holderIdentity": "us",
            "acquireTime": "2026-12-01T12:00:00.000005Z",
            "renewTime": "2026-12-01T12:00:00.000005Z",
            "leaseDurationSeconds": 40,
            "leaseTransitions": 0,
        },
    }
    later = TIME.replace(hour=13)
    renewed = write_lease(first, "us", later, 40)["spec"]
    assert renewed["acquireTime"] == first["spec"]["acquireTime"]
    assert renewed["renewTime"] == "2026-12-01T13:00:00.000005Z"
    assert renewed["leaseTransitions"] == 0
    released = write_lease(first, "", later, 40)
    assert released["spec"]["holderIdentity"] == ""
    taken = write_lease(released, "them", later, 40)["spec"]
    assert (taken["holderIdentity"], taken["leaseTransitions"]) == ("them", 1)
    assert taken["acquireTime"] == "2026-12-01T13:00:00.000005Z"
