"""Events, each of which reports a change of an object's status once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from anabranch.api.measurementstatus import MeasurementStatus
from anabranch.api.resource import API_VERSION
from anabranch.api.surveystatus import SurveyStatus
from anabranch.cluster.client import MERGE
from anabranch.cluster.objects import MANAGER, Objects, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anabranch.api import Resource
    from anabranch.api.resource import Condition, Status
    from anabranch.cluster.client import Cluster

_MAX_NOTE = 1024
"""Kubernetes accepts no longer notes."""
_SAME = timedelta(minutes=1)
_ROUTINE = {"Running", "Scheduled"}
"""What a Survey is ready for, which the events of its cycles tell better."""
_TOLD = {"Ready", "Complete", "Failed", "Suspended", "Stalled"}


@dataclass(frozen=True)
class Event:
    """An event to record."""

    is_warning: bool
    reason: str
    note: str


def find_events(before: Status, after: Status) -> Iterator[Event]:
    """Yield the events that a change of status causes: one for each new reason."""
    known = {each.type: each for each in before.conditions}
    told: set[str] = set()
    bad = {
        each.reason
        for each in after.conditions
        if each.type in {"Failed", "Stalled"} and each.status == "True"
    }
    if isinstance(before, MeasurementStatus) and isinstance(after, MeasurementStatus):
        yield from _find_shortfalls(before, after)
    is_survey = isinstance(after, SurveyStatus)
    if isinstance(before, SurveyStatus) and isinstance(after, SurveyStatus):
        yield from _find_cycles(before, after)
    for condition in after.conditions:
        was = known.get(condition.type)
        if condition.type not in _TOLD or condition.reason in told:
            continue
        if was is None and not _is_news(condition):
            continue
        if is_survey and condition.reason in _ROUTINE:
            continue
        if was and (was.status, was.reason) == (condition.status, condition.reason):
            continue
        told.add(condition.reason)
        yield Event(condition.reason in bad, condition.reason, condition.message)


def _find_shortfalls(
    before: MeasurementStatus, after: MeasurementStatus
) -> Iterator[Event]:
    """Yield an event if the number of left-out targets changed.

    Also yield an event for each other shortfall, once a run.
    """
    is_same = before.run_id == after.run_id
    known = {each.reason for each in before.shortfalls} if is_same else set()
    left_out = before.targets.left_out if is_same and before.targets else 0
    targets = after.targets
    if targets and targets.message and targets.left_out != left_out:
        yield Event(is_warning=True, reason="TargetsLeftOut", note=targets.message)
    for shortfall in after.shortfalls:
        if shortfall.reason not in known:
            yield Event(
                is_warning=True, reason=shortfall.reason, note=shortfall.message
            )


def _find_cycles(before: SurveyStatus, after: SurveyStatus) -> Iterator[Event]:
    """Yield an event for each cycle that starts, ends or is missed."""
    if after.last_ended and after.last_ended != before.last_ended:
        end = after.last_ended
        told = "CycleSucceeded" if end.succeeded else "CycleFailed"
        note = f"cycle {end.cycle}: {end.reason}: {end.message}"
        yield Event(not end.succeeded, told, note)
    if after.last_missed_time and after.last_missed_time != before.last_missed_time:
        time = _write_second(after.last_missed_time)
        note = f"the cycle of {time} did not start within startingDeadlineSeconds"
        yield Event(is_warning=True, reason="CycleMissed", note=note)
    if after.cycle and after.last_schedule_time and after.cycle != before.cycle:
        note = f"cycle {after.cycle} of {_write_second(after.last_schedule_time)}"
        yield Event(is_warning=False, reason="CycleStarted", note=note)


def _is_news(condition: Condition) -> bool:
    """Return whether a condition that was not there before is worth an event."""
    return condition.type == "Ready" or condition.status == "True"


@dataclass(frozen=True)
class Recorder:
    """A writer of events."""

    cluster: Cluster
    instance: str
    now: Callable[[], datetime]

    async def record(self, about: Resource, event: Event) -> None:
        """Write an event; if it exists, add one to its count.

        The count stays if the event was last seen less than a minute ago: it is then
        the same change, and an earlier operator could not write the status any more.
        """
        metadata = about.metadata
        regarding = {
            "apiVersion": API_VERSION,
            "kind": about.kind,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        }
        parts = (metadata.uid, event.reason, event.note, str(metadata.generation))
        digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
        place = Place("Event", metadata.namespace, f"{metadata.name}.{digest}")
        now = self.now()
        body: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": place.name, "namespace": place.namespace},
            "eventTime": _write_time(now),
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "note": event.note[:_MAX_NOTE],
            "action": "Reconcile",
            "regarding": regarding,
            "reportingController": f"anabranch.dev/{MANAGER}",
            "reportingInstance": self.instance,
        }
        found = await Objects(self.cluster).get(place)
        if found is None:
            folder = Place("Event", place.namespace).path
            await self.cluster.request("POST", folder, body=body)
            return
        series = found.get("series") or {}
        last = series.get("lastObservedTime") or found["eventTime"]
        if now - datetime.fromisoformat(last) < _SAME:
            return
        count = series.get("count", 1) + 1
        more = {"count": count, "lastObservedTime": _write_time(now)}
        await self.cluster.request(
            "PATCH", place.path, body={"series": more}, content=MERGE
        )


def _write_second(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
