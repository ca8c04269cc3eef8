"""The status of a Round, and when it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anabranch.api.round import SERVING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anabranch.api.round import ConnectionCounts
    from anabranch_agent.parts import Totals


@dataclass(frozen=True)
class View:
    """The present state of a Round."""

    generation: int
    start_time: str | None
    completion_time: str | None
    block: int
    parts: int
    totals: Totals
    is_traced: bool
    """Whether the Round traces destinations."""
    is_ready: bool
    reason: str
    message: str
    is_complete: bool = False
    is_failed: bool = False
    connections: ConnectionCounts | None = None
    """What came of connections, if the Round is standing."""
    policy: int | None = None
    """The generation of the ProbingPolicy that is obeyed."""


Conditions = tuple[tuple[str, str, str, str], ...]
"""Type, status, reason and message of each."""


def list_conditions(view: View) -> Conditions:
    """List the conditions; optional ones are there only while they are true."""
    why = (view.reason, view.message)
    ready = "True" if view.is_ready else "False"
    complete = "True" if view.is_complete else "False"
    conditions = [("Ready", ready, *why), ("Complete", complete, *why)]
    if view.is_failed:
        conditions += [("Failed", "True", *why), ("Stalled", "True", *why)]
    elif not (view.is_complete or view.reason in {"Suspended", SERVING}):
        conditions.append(("Reconciling", "True", *why))
    return tuple(conditions)


def build_status(
    view: View, before: Sequence[Mapping[str, Any]], now: str
) -> dict[str, Any]:
    """Build the status, with the times at which conditions changed.

    ``before`` are the conditions that were written last.
    """
    old = {condition["type"]: condition for condition in before}

    def find_time(kind: str, status: str) -> str:
        known = old.get(kind)
        if known and known["status"] == status:
            time: str = known["lastTransitionTime"]
            return time
        return now

    status: dict[str, Any] = {
        "observedGeneration": view.generation,
        "block": view.block,
        "parts": view.parts,
        "probesSent": view.totals.sent,
        "repliesReceived": view.totals.replies,
        "repliesInvalid": view.totals.invalid,
        "sendErrors": view.totals.unsent,
        "receiveDrops": view.totals.dropped,
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": view.generation,
                "lastTransitionTime": find_time(kind, status),
            }
            for kind, status, reason, message in list_conditions(view)
        ],
    }
    if view.is_traced:
        status["destinationsTraced"] = view.totals.traced
    if view.connections:
        status["connections"] = view.connections.model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
    if view.policy is not None:
        status["policyGeneration"] = view.policy
    if view.start_time:
        status["startTime"] = view.start_time
    if view.completion_time:
        status["completionTime"] = view.completion_time
    return status


def _summarise(view: View) -> tuple[object, ...]:
    """Return what is written at once when it changes."""
    states = [
        (kind, status, reason) for kind, status, reason, _ in list_conditions(view)
    ]
    return (states, view.generation, view.policy)


def is_due(view: View, written: View | None, now: float, due: float) -> bool:
    """Return whether to write a status: news at once, other numbers when due."""
    if written is None or _summarise(view) != _summarise(written):
        return True
    return view != written and now >= due
