"""Kopf's watches, which keep the inventory and say which objects to look at.

This module decides nothing and changes nothing, because kopf merely logs an error in an
event handler and forgets it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
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
from anabranch.control.index import Index
from anabranch.manifests.cycles import find_cycle
from anabranch.manifests.labels import AGENT, SELECTOR, SURVEY_NAME, TEMPLATE
from anabranch.reconcile.inventory import Inventory, find_owner
from anabranch.reconcile.start import waits_for_quota
from anabranch.reconcile.views import view_job, view_node, view_pod

if TYPE_CHECKING:
    from anabranch.api import Resource

Key = tuple[str, str, str]
"""The kind, namespace and name of an object to look at."""
Entries = dict[tuple[str, str], Any]
"""What is kept of an object, by the keys of an index."""
View = Callable[[Mapping[str, Any]], Entries]
Notice = Callable[[Mapping[str, Any], str], None]
"""Adds the keys that an object concerns; the text is what happened to it."""

_log = logging.getLogger(__name__)
_SILENT_SECONDS = 70.0
_PAGE = 500
_DELETED = "DELETED"


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
    """The handlers of one operator, and the objects that they have heard of."""

    def __init__(
        self, system: str, add: Callable[[Key], None], *, watch_nodes: bool
    ) -> None:
        """Make the handlers; ``add`` is called with each key to look at.

        Until ``open``, no key is added, since much is not known yet.
        """
        self.registry = kopf.OperatorRegistry()
        self.kinds = [(kind.__name__, "") for kind in KINDS]
        """The kinds that are watched, with their label selectors."""
        self.kinds += [("Job", SELECTOR), ("Pod", SELECTOR)]
        self._system = system
        self._add = add
        self._unopened: set[str] | None = set()
        """The UIDs of all objects that are known before it is opened."""
        self._known: dict[str, Index[Any]] = {}
        """The indices of what the inventory has, by its fields."""
        kopf.on.login(registry=self.registry)(log_in)
        for kind in KINDS:
            self._watch_kind(kind)
        self._watch("batch", "jobs", self._view_job, self._on_job)
        self._watch("", "pods", self._view_pod, self._on_pod)
        if watch_nodes:
            self.kinds.append(("Node", ""))
            self._watch("", "nodes", self._view_node, self._on_node)
        self.inventory = Inventory(
            system=system,
            measurements=self._known["measurements"],
            surveys=self._known["surveys"],
            cycles=self._known["cycles"],
            agents=self._known["agents"],
            lists=self._known["targetlists"],
            policies=self._known["probingpolicies"],
            rounds=self._known["rounds"],
            jobs=self._known["jobs"],
            pods=self._known["pods"],
            nodes=self._known.get("nodes", {}),
        )
        """All objects."""

    def open(self, there: set[str]) -> bool:
        """Begin to add keys if all of these UIDs are known; return whether it did.

        Then add those of all objects.
        """
        if self._unopened is None:
            return True
        if not there <= self._unopened:
            return False
        self._unopened = None
        self.add_all()
        return True

    def add_all(self) -> None:
        """Add the keys of all objects."""
        found = self.inventory
        for kind, index in (
            ("Measurement", found.measurements),
            ("Survey", found.surveys),
            ("Agent", found.agents),
            ("TargetList", found.lists),
            ("ProbingPolicy", found.policies),
            ("Node", found.nodes),
            ("Orphans", found.jobs),
        ):
            for namespace, name in list(index):
                self._add((kind, namespace, name))

    def list_known(self) -> set[str]:
        """Return the UIDs of all known objects except nodes."""
        found = self.inventory
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

    def _watch_kind(self, kind: type[Resource]) -> None:
        if kind is Round:
            self._watch(GROUP, kind.plural, self._view_round, self._on_round)
            return

        def view(body: Mapping[str, Any]) -> Entries:
            found = _read(kind, body)
            return {found.key: found} if found else {}

        def notice(body: Mapping[str, Any], event: str) -> None:
            metadata = body["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            labels = metadata.get("labels", {})
            self._add((kind.__name__, namespace, name))
            if event == _DELETED:
                self._add(("Orphans", "", metadata["uid"]))
            if kind is Agent:
                self._notice_agent(name, labels)
            elif kind is Measurement:
                is_over = "completionTime" in body.get("status", {})
                self._notice_run(namespace, labels, frees=is_over or event == _DELETED)
                self._notice_measurements(
                    lambda each: (
                        each.key[0] == namespace
                        and each.spec.aliases is not None
                        and each.spec.aliases.of == name
                    )
                )
            elif kind is TargetList:
                self._notice_measurements(lambda each: each.key[0] == namespace)
            elif kind is ProbingPolicy:
                self._notice_measurements(lambda _: True)

        self._watch(GROUP, kind.plural, view, notice)

    def _watch(self, group: str, plural: str, view: View, notice: Notice) -> None:
        """Keep what is seen of the objects of a kind, and notice their changes."""
        own = self._known[plural] = Index()
        indices = {plural: (own, view)}
        if plural == Measurement.plural:
            self._known["cycles"] = Index()
            indices["cycles"] = (self._known["cycles"], self._view_cycle)

        async def take(
            body: Mapping[str, Any], event: Mapping[str, Any], **_: Any
        ) -> None:
            uid, kind = body["metadata"]["uid"], event["type"]
            for index, look in indices.values():
                if kind == _DELETED:
                    index.discard(uid)
                else:
                    index.replace(uid, look(body))
            if self._unopened is None:
                notice(body, kind)
            elif kind == _DELETED:
                self._unopened.discard(uid)
            else:
                self._unopened.add(uid)

        version = VERSION if group == GROUP else "v1"
        kopf.on.event(group, version, plural, registry=self.registry)(take)

    def _notice_agent(self, name: str, labels: dict[str, str]) -> None:
        """Queue an agent and the measurements that choose it."""
        self._add(("Agent", self._system, name))
        self._notice_measurements(
            lambda each: any(it.chooses(name, labels) for it in each.spec.agents)
        )
        # Those that it serves may not choose it any more.
        for found in self.inventory.find_standing(name):
            measurement = found.spec.measurement.name
            self._add(("Measurement", found.metadata.namespace, measurement))

    def _notice_run(
        self, namespace: str, labels: dict[str, str], *, frees: bool
    ) -> None:
        """Queue the survey of a measurement, and what waits for the end of its run."""
        if find_cycle(labels):
            self._add(("Survey", namespace, labels.get(SURVEY_NAME, "")))
        if frees:
            self._notice_measurements(
                lambda each: each.key[0] == namespace and waits_for_quota(each)
            )

    def _notice_measurements(self, matters: Callable[[Measurement], bool]) -> None:
        """Queue the measurements that a change concerns."""
        for each in self.inventory.find_unfinished():
            if matters(each):
                self._add(("Measurement", *each.key))

    def _view_cycle(self, body: Mapping[str, Any]) -> Entries:
        cycle = find_cycle(body["metadata"].get("labels", {}))
        found = _read(Measurement, body) if cycle else None
        return {("", cycle[0]): found} if cycle and found else {}

    def _view_round(self, body: Mapping[str, Any]) -> Entries:
        found = _read(Round, body)
        if found is None:
            return {}
        spec = found.spec
        return {("uid", spec.measurement.uid): found, ("agent", spec.agent): found}

    def _on_round(self, body: Mapping[str, Any], _: str) -> None:
        spec, namespace = body["spec"], body["metadata"]["namespace"]
        self._add(("Measurement", namespace, spec["measurement"]["name"]))
        self._add(("Agent", self._system, spec["agent"]))

    def _view_job(self, body: Mapping[str, Any]) -> Entries:
        if body["metadata"]["namespace"] != self._system:
            return {}  # Whoever made it, it is not ours.
        job = view_job(body)
        return {("", find_owner(job.labels)): job}

    def _on_job(self, body: Mapping[str, Any], _: str) -> None:
        owner = find_owner(body["metadata"].get("labels", {}))
        found = self.inventory.find_by_uid(owner)
        self._add((found.kind, *found.key) if found else ("Orphans", "", owner))

    def _view_pod(self, body: Mapping[str, Any]) -> Entries:
        metadata = body["metadata"]
        if TEMPLATE not in metadata.get("labels", {}):
            return {}  # a Job's
        key = (metadata["namespace"], metadata["name"])
        return {key: view_pod(body, TEMPLATE)}

    def _on_pod(self, body: Mapping[str, Any], _: str) -> None:
        labels = body["metadata"].get("labels", {})
        if TEMPLATE in labels:
            name = labels[AGENT]
            agent = self.inventory.find_agent(name)
            self._notice_agent(name, agent.metadata.labels if agent else {})

    def _view_node(self, body: Mapping[str, Any]) -> Entries:
        node = view_node(body)
        return {("", node.name): node}

    def _on_node(self, body: Mapping[str, Any], _: str) -> None:
        self._add(("Node", "", body["metadata"]["name"]))


def log_in(**known: Any) -> kopf.ConnectionInfo | None:
    """Log in as the pod's service account, or as ``KUBECONFIG`` says."""
    return kopf.login_with_service_account(**known) or kopf.login_with_kubeconfig(
        **known
    )


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
