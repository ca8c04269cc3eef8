"""Leases: who holds one, and when another one may take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True)
class Seen:
    """The holder and renewal of a Lease, and since when we see both unchanged."""

    holder: str
    renewed: str
    since: float


def look(lease: Mapping[str, Any], seen: Seen | None, now: float) -> Seen:
    """Return what is known of a Lease once it has been read again."""
    spec = lease.get("spec") or {}
    holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
    if seen and (seen.holder, seen.renewed) == (holder, renewed):
        return seen
    return Seen(holder, renewed, now)


def may_take(seen: Seen, own: str, now: float, takeover: float) -> bool:
    """Return whether a Lease is free, our own, or of someone who is gone.

    Only our own clock measures how long it stood still: the clocks of machines differ.
    """
    return seen.holder in ("", own) or now - seen.since >= takeover


def write_lease(
    lease: Mapping[str, Any], holder: str, time: datetime, seconds: float
) -> dict[str, Any]:
    """Return the Lease with a holder that renews it at a time."""
    spec = dict(lease.get("spec") or {})
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if holder and spec.get("holderIdentity") != holder:
        spec["acquireTime"] = stamp
        spec["leaseTransitions"] = spec.get("leaseTransitions", -1) + 1
    spec |= {
        "holderIdentity": holder,
        "renewTime": stamp,
        "leaseDurationSeconds": max(1, round(seconds)),
    }
    return {**lease, "spec": spec}
