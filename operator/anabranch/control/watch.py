"""Kopf's watches, which keep the inventory and say which objects to look at.

This module decides nothing and changes nothing, because kopf merely logs an error in an
event handler and forgets it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import kopf
from pydantic import ValidationError

from anabranch.api import (
    KINDS,
    Agent,
    Measurement,
    ProbingPolicy,
    Round,
    TargetList,
)
from anabranch.api.resource import GROUP, VERSION
from anabranch.cluster.objects import read_object
from anabranch.manifests.cycles import find_cycle
from anabranch.manifests.labels import AGENT, SELECTOR, SURVEY_NAME, TEMPLATE
from anabranch.reconcile.inventory import Inventory, find_owner
from anabranch.reconcile.views import view_job, view_node, view_pod

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anabranch.api import Resource

Key = tuple[str, str, str]
"""The kind, namespace and name of an object to look at."""

_log = logging.getLogger(__name__)
_SILENT_SECONDS = 70.0
_PAGE = 500


def make_settings() -> kopf.OperatorSettings:
    """Make kopf's settings: use its watches, and nothing else of it."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.watching.inactivity_timeout = _SILENT_SECONDS
    settings.watching.chunk_size = _PAGE
    for group, version, plural in (("batch", "v1", "jobs"), ("", "v1", "pods")):
        settings.watching.label_selectors[group, version, plural] = SELECTOR
    return settings


class Watches:
    """The handlers of one operator."""

    def __init__(
        self, system: str, add: Callable[[Key], None], *, watch_nodes: bool
    ) -> None:
        """Make the handlers; ``add`` is called with each key to look at."""
        self.registry = kopf.OperatorRegistry()
        self._system = system
        self._add = add
        self._names: list[str] = []
        self._indices: dict[str, Any] = {}
        kopf.on.login(registry=self.registry)(log_in)
        kopf.on.startup(registry=self.registry)(self._take_indices)
        for kind in KINDS:
            self._watch_kind(kind)
        self._watch("batch", "jobs", self._index_job, self._on_job)
        self._watch("", "pods", self._index_pod, self._on_pod)
        if watch_nodes:
            self._watch("", "nodes", self._index_node, self._on_node)

    def open_inventory(self) -> Inventory:
        """Return the objects.

        Raises:
            KeyError: When kopf has not started yet.
        """
        found = self._indices
        return Inventory(
            system=self._system,
            measurements=found["measurements"],
            surveys=found["surveys"],
            cycles=found["cycles"],
            agents=found["agents"],
            lists=found["targetlists"],
            policies=found["probingpolicies"],
            rounds=found["rounds"],
            jobs=found["jobs"],
            pods=found["pods"],
            nodes=found.get("nodes", {}),
        )

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """The kinds that are watched in namespaces, with their label selectors."""
        own = [(kind.__name__, "") for kind in KINDS]
        return [*own, ("Job", SELECTOR), ("Pod", SELECTOR)]

    def list_known(self) -> set[str]:
        """Return the UIDs of all known objects except nodes."""
        found = self.open_inventory()
        kinds = (found.measurements, found.surveys, found.agents, found.lists)
        known = {
            each.metadata.uid
            for index in (*kinds, found.policies, found.rounds)
            for objects in index.values()
            for each in objects
        }
        return known | {
            each.uid
            for index in (found.jobs, found.pods)
            for objects in index.values()
            for each in objects
        }

    async def _take_indices(self, **known: Any) -> None:
        self._indices = {name: known[name] for name in self._names}

    def _watch_kind(self, kind: type[Resource]) -> None:
        plural = kind.plural
        if kind is Round:
            self._index(GROUP, VERSION, plural, "rounds", self._index_round)
            self._on(GROUP, VERSION, plural, self._on_round)
            return

        async def index(body: Mapping[str, Any], **_: Any) -> dict[Any, Any]:
            return _index_object(kind, body)

        async def notice(
            body: Mapping[str, Any], event: Mapping[str, Any], **_: Any
        ) -> None:
            metadata = body["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            labels = metadata.get("labels", {})
            self._add((kind.__name__, namespace, name))
            if event["type"] == "DELETED":
                self._add(("Orphans", "", metadata["uid"]))
            if kind is Agent:
                self._notice_agent(name, labels)
            elif kind is Measurement and find_cycle(labels):
                self._add(("Survey", namespace, labels.get(SURVEY_NAME, "")))
            elif kind is TargetList:
                self._notice_measurements(lambda each: each.key[0] == namespace)
            elif kind is ProbingPolicy:
                self._notice_measurements(lambda _: True)

        self._index(GROUP, VERSION, plural, plural, index)
        if kind is Measurement:
            self._index(GROUP, VERSION, plural, "cycles", self._index_cycle)
        self._on(GROUP, VERSION, plural, notice)

    def _watch(self, group: str, plural: str, index: Any, notice: Any) -> None:
        self._index(group, "v1", plural, plural, index)
        self._on(group, "v1", plural, notice)

    def _index(
        self, group: str, version: str, plural: str, name: str, function: Any
    ) -> None:
        self._names.append(name)
        kopf.index(group, version, plural, id=name, registry=self.registry)(function)

    def _on(self, group: str, version: str, plural: str, function: Any) -> None:
        kopf.on.event(group, version, plural, registry=self.registry)(function)

    def _notice_agent(self, name: str, labels: dict[str, str]) -> None:
        """Queue an agent and the measurements that choose it."""
        self._add(("Agent", self._system, name))
        self._notice_measurements(
            lambda each: any(it.chooses(name, labels) for it in each.spec.agents)
        )
        # Those that it serves may not choose it any more.
        for found in self.open_inventory().find_standing(name):
            measurement = found.spec.measurement.name
            self._add(("Measurement", found.metadata.namespace, measurement))

    def _notice_measurements(self, matters: Callable[[Measurement], bool]) -> None:
        """Queue the measurements that a change concerns."""
        for each in self.open_inventory().find_unfinished():
            if matters(each):
                self._add(("Measurement", *each.key))

    async def _index_cycle(self, body: Mapping[str, Any], **_: Any) -> dict[Any, Any]:
        cycle = find_cycle(body["metadata"].get("labels", {}))
        found = _read(Measurement, body) if cycle else None
        return {("", cycle[0]): found} if cycle and found else {}

    async def _index_round(self, body: Mapping[str, Any], **_: Any) -> dict[Any, Any]:
        found = _read(Round, body)
        if found is None:
            return {}
        spec = found.spec
        return {("uid", spec.measurement.uid): found, ("agent", spec.agent): found}

    async def _on_round(self, body: Mapping[str, Any], **_: Any) -> None:
        spec, namespace = body["spec"], body["metadata"]["namespace"]
        self._add(("Measurement", namespace, spec["measurement"]["name"]))
        self._add(("Agent", self._system, spec["agent"]))

    async def _index_job(self, body: Mapping[str, Any], **_: Any) -> dict[Any, Any]:
        if body["metadata"]["namespace"] != self._system:
            return {}  # Whoever made it, it is not ours.
        job = view_job(body)
        return {("", find_owner(job.labels)): job}

    async def _on_job(self, body: Mapping[str, Any], **_: Any) -> None:
        owner = find_owner(body["metadata"].get("labels", {}))
        found = self.open_inventory().find_by_uid(owner)
        self._add((found.kind, *found.key) if found else ("Orphans", "", owner))

    async def _index_pod(self, body: Mapping[str, Any], **_: Any) -> dict[Any, Any]:
        metadata = body["metadata"]
        if TEMPLATE not in metadata.get("labels", {}):
            return {}  # a Job's
        key = (metadata["namespace"], metadata["name"])
        return {key: view_pod(body, TEMPLATE)}

    async def _on_pod(self, body: Mapping[str, Any], **_: Any) -> None:
        labels = body["metadata"].get("labels", {})
        if TEMPLATE in labels:
            name = labels[AGENT]
            agent = self.open_inventory().find_agent(name)
            self._notice_agent(name, agent.metadata.labels if agent else {})

    async def _index_node(self, body: Mapping[str, Any], **_: Any) -> dict[Any, Any]:
        node = view_node(body)
        return {("", node.name): node}

    async def _on_node(self, name: str, **_: Any) -> None:
        self._add(("Node", "", name))


def log_in(**known: Any) -> kopf.ConnectionInfo | None:
    """Log in as the pod's service account, or as ``KUBECONFIG`` says."""
    return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(
        **known
    )


def _index_object(kind: type[Resource], body: Mapping[str, Any]) -> dict[Any, Any]:
    found = _read(kind, body)
    return {found.key: found} if found else {}


def _read(kind: type[Any], body: Mapping[str, Any]) -> Any:
    """Read an object; log it and return None if this version can't read it."""
    try:
        return read_object(kind, dict(body))
    except ValidationError as error:
        metadata = body["metadata"]
        _log.warning(
            "%s %s/%s is passed over: %s; are the CRDs of this version?",
            kind.__name__,
            metadata["namespace"],
            metadata["name"],
            error,
        )
        return None
