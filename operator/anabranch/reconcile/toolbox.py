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
    from anabranch.reconcile.access import Access
    from anabranch.reconcile.inventory import Inventory
    from anabranch.reconcile.views import JobView
    from anabranch.store.store import Store

    Kind = TypeVar("Kind", bound=Resource)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Toolbox:
    """The cluster, the store, the clock, and what reconcilers remember."""

    settings: Settings
    objects: Objects
    store: Store
    inventory: Inventory
    recorder: Recorder
    now: Callable[[], datetime]
    access: Access | None = None
    """What lets agents reach a store that is a gateway; None if it is another one."""
    look_seconds: float = 30.0
    """The seconds after which to look again for changes that no watch reports."""
    _templates: dict[str, str] = field(default_factory=dict)
    _explained: dict[str, dict[str, str]] = field(default_factory=dict)
    """What pods of failed Jobs said, by the UIDs of the Job's owner and the Job."""
    _said: dict[str, tuple[str, Status]] = field(default_factory=dict)
    """The last status written, by UID, with the object's version before that."""

    def recall(self, about: Kind) -> Kind:
        """Return an object with the status that was written last.

        A watch may still report the object without this status.
        """
        version, status = self._said.get(about.metadata.uid, ("", about.status))
        if version != about.metadata.resource_version:
            return about
        return about.model_copy(update={"status": status})

    def forget(self, uid: str) -> None:
        """Drop what is known of an object that is gone."""
        self._said.pop(uid, None)
        self._templates.pop(uid, None)
        self._explained.pop(uid, None)

    def find_template(self, agent: Agent) -> str:
        """Return the hash of the template of an agent's wanted pod."""
        uid = agent.metadata.uid  # An Agent's node never changes.
        if uid not in self._templates:
            self._templates[uid] = find_template(build_pod(self.settings, agent))
        return self._templates[uid]

    async def say(
        self, about: Resource, status: Status, *, is_start: bool = False
    ) -> None:
        """Write a status if it has changed, and record the events of the change.

        With ``is_start``, write it only if the object's version is unchanged.

        Raises:
            RefusedError: With status 409, when the object is another one or, with
                ``is_start``, another version by now.
        """
        if status == about.status:
            return
        for event in find_events(about.status, status):
            try:
                await self.recorder.record(about, event)
            except RefusedError as error:
                # The namespace may be about to go. Nothing depends on events.
                _log.warning("event %s of %s: %s", event.reason, about.key, error)
        place = Place(about.kind, *about.key)
        text = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        known = {"uid": about.metadata.uid}
        if is_start:
            known["resourceVersion"] = about.metadata.resource_version
        await self.objects.apply_status(place, text, **known)
        self._said[about.metadata.uid] = (about.metadata.resource_version, status)

    async def explain(self, job: JobView) -> str:
        """Return why a Job failed, as its last pod says, or else Kubernetes."""
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
