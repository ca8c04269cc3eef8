"""Events: what changed in the conditions of an object, told once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from anabranch.api.resource import API_VERSION
from anabranch.cluster.client import CONFLICT, RefusedError
from anabranch.cluster.objects import MANAGER, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.api import Resource
    from anabranch.api.resource import Condition, Status
    from anabranch.cluster.client import Cluster

_MAX_NOTE = 1024
"""Kubernetes takes no longer notes."""
_TOLD = {"Ready", "Complete", "Failed", "Suspended", "Stalled"}


@dataclass(frozen=True)
class Event:
    """What is told."""

    is_warning: bool
    reason: str
    note: str


def find_events(before: Status, after: Status) -> Iterator[Event]:
    """What is to be told of a change of status; of one change of mind, one event."""
    known = {each.type: each for each in before.conditions}
    told: set[str] = set()
    for condition in after.conditions:
        was = known.get(condition.type)
        if condition.type not in _TOLD or condition.reason in told:
            continue
        if was is None and not _is_news(condition):
            continue
        if was and (was.status, was.reason) == (condition.status, condition.reason):
            continue
        told.add(condition.reason)
        yield Event(_is_bad(condition), condition.reason, condition.message)


def _is_news(condition: Condition) -> bool:
    """Whether it is worth telling of a condition that was not there before."""
    return condition.type == "Ready" or condition.status == "True"


def _is_bad(condition: Condition) -> bool:
    return condition.type in {"Failed", "Stalled"} and condition.status == "True"


@dataclass(frozen=True)
class Recorder:
    """Writes events."""

    cluster: Cluster
    instance: str

    async def record(self, about: Resource, event: Event) -> None:
        """Writes an event; one that is there already counts one more."""
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
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": place.name, "namespace": place.namespace},
            "eventTime": now,
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "note": event.note[:_MAX_NOTE],
            "action": "Reconcile",
            "regarding": regarding,
            "reportingController": f"anabranch.dev/{MANAGER}",
            "reportingInstance": self.instance,
        }
        folder = Place("Event", place.namespace).path
        try:
            await self.cluster.request("POST", folder, body=body)
        except RefusedError as error:
            if error.status != CONFLICT:
                raise
            found = await self.cluster.request("GET", place.path)
            count = found.get("series", {}).get("count", 1) + 1
            series = {"series": {"count": count, "lastObservedTime": now}}
            content = "application/merge-patch+json"
            await self.cluster.request(
                "PATCH", place.path, body=series, content=content
            )
