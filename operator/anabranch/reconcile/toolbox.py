"""The tools that all reconcilers share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from anabranch.cluster.client import RefusedError
from anabranch.cluster.objects import Place
from anabranch.manifests.agents import build_pod, find_template
from anabranch.reconcile.events import Recorder, find_events
from anabranch.reconcile.inventory import find_owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from anabranch.api import Agent, Resource
    from anabranch.api.resource import Status
    from anabranch.cluster.objects import Objects
    from anabranch.manifests.settings import Settings
    from anabranch.reconcile.inventory import Inventory
    from anabranch.reconcile.views import JobView
    from anabranch.store.store import Store

    Kind = TypeVar("Kind", bound=Resource)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Toolbox:
    """The cluster, the store, the clock."""

    settings: Settings
    objects: Objects
    store: Store
    inventory: Inventory
    recorder: Recorder
    now: Callable[[], datetime]
    look_seconds: float = 30.0
    """When to look again for what nobody tells."""
    _templates: dict[str, str] = field(default_factory=dict)
    _explained: dict[str, dict[str, str]] = field(default_factory=dict)
    """What pods of Jobs said, by the UID that a Job works for and by its own."""
    _said: dict[str, tuple[str, Status]] = field(default_factory=dict)
    """The status that was written last, by UID, with the version of its object."""

    def recall(self, about: Kind) -> Kind:
        """An object with what was said of it last, where watches do not tell it yet."""
        version, status = self._said.get(about.metadata.uid, ("", about.status))
        if version != about.metadata.resource_version:
            return about
        return about.model_copy(update={"status": status})

    def forget(self, uid: str) -> None:
        """Drops what is known of an object that is gone."""
        self._said.pop(uid, None)
        self._templates.pop(uid, None)
        self._explained.pop(uid, None)

    def find_template(self, agent: Agent) -> str:
        """What tells the pod that an agent is to be from others."""
        uid = agent.metadata.uid  # Its node never changes.
        if uid not in self._templates:
            self._templates[uid] = find_template(build_pod(self.settings, agent))
        return self._templates[uid]

    async def say(
        self, about: Resource, status: Status, *, is_start: bool = False
    ) -> None:
        """Makes a status known, if it is another one, with the events of the change.

        ``is_start`` has it be of the very spec that was seen.

        Raises:
            RefusedError: With status 409, when the object is another one by now.
        """
        if status == about.status:
            return
        for event in find_events(about.status, status):
            try:
                await self.recorder.record(about, event)
            except RefusedError as error:
                # Of a namespace that is about to go, for one; nothing hangs on it.
                _log.warning("event %s of %s: %s", event.reason, about.key, error)
        place = Place(about.kind, *about.key)
        text = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        known = {"uid": about.metadata.uid}
        if is_start:
            known["resourceVersion"] = about.metadata.resource_version
        await self.objects.apply_status(place, text, **known)
        self._said[about.metadata.uid] = (about.metadata.resource_version, status)

    async def explain(self, job: JobView) -> str:
        """Why a Job failed: what its last pod said, or else what Kubernetes says."""
        known = self._explained.setdefault(find_owner(job.labels), {})
        if job.uid not in known:
            selector = f"batch.kubernetes.io/job-name={job.name}"
            place = Place("Pod", self.settings.namespace)
            pods = await self.objects.list(place, selector)
            said = [
                state["terminated"]["message"]
                for pod in sorted(
                    pods, key=lambda p: p["metadata"]["creationTimestamp"]
                )
                for container in pod.get("status", {}).get("containerStatuses", [])
                if "message" in (state := container["state"]).get("terminated", {})
            ]
            known[job.uid] = (said or [job.message])[-1]
        return known[job.uid]
