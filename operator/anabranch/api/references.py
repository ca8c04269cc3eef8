"""The references between the objects of a set of manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement, TargetList
from anabranch.api.configmap import ConfigMap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.api.document import Path
    from anabranch.api.manifest import Document, Manifests, Problem
    from anabranch.api.measurementspec import MeasurementAgent


def find_dangling(manifests: Manifests) -> list[Problem]:
    """Return a problem for each reference to an object that does not exist."""
    problems: list[Problem] = []
    for measurement in manifests.of_measurements():
        problems += _check_measurement(measurement, manifests)
    for target_list in manifests.of_kind(TargetList):
        problems += _check_list(target_list, manifests)
    return problems


def select_agents(wanted: MeasurementAgent, agents: list[Agent]) -> list[Agent]:
    """Return the agents that an entry of a measurement names, or selects by label."""
    return [
        agent
        for agent in agents
        if wanted.chooses(agent.metadata.name, agent.metadata.labels)
    ]


def _check_measurement(
    document: Document[Measurement], manifests: Manifests
) -> Iterator[Problem]:
    measurement = document.object
    namespace = measurement.metadata.namespace
    agents = [each.object for each in manifests.of_kind(Agent)]
    probing = {
        agent.metadata.name
        for entry in measurement.spec.agents
        for agent in select_agents(entry, agents)
    }
    yield from _check_subject(document, manifests)
    for index, entry in enumerate(measurement.spec.agents):
        path: Path = ("spec", "agents", index)
        name = entry.target_list
        if (
            name is not None
            and manifests.find(TargetList, (namespace, name)) is None
            and not manifests.may_hold(TargetList, name)
        ):
            yield document.problem(
                (*path, "targetList"),
                f"there is no TargetList {name!r} in namespace "
                f"{namespace!r}; add it or correct the name",
            )
        if entry.division == "shared" and entry.name in probing:
            yield document.problem(
                (*path, "name"),
                f"an Agent that takes part is named {entry.name!r} too; give the team "
                "another name",
            )
        chosen = select_agents(entry, agents)
        if not chosen and entry.selector is None:
            if manifests.may_hold(Agent, entry.name):
                continue
            yield document.problem(
                (*path, "name"),
                f"there is no Agent {entry.name!r}; add it, correct the name or give "
                "a selector",
            )
        elif not chosen and not manifests.may_hold(Agent):
            yield document.problem(
                (*path, "selector"),
                "no Agent has such labels; label one or correct the selector",
            )
        for agent in chosen:
            allowed = agent.spec.allowed_namespaces
            if allowed is not None and namespace not in allowed:
                yield document.problem(
                    path,
                    f"Agent {agent.metadata.name!r} does not serve namespace "
                    f"{namespace!r}; add it to the agent's allowedNamespaces",
                )
            hears = entry.connections and entry.connections.source == "eventSocket"
            if hears and agent.spec.event_socket is None:
                yield document.problem(
                    (*path, "connections", "source"),
                    f"Agent {agent.metadata.name!r} names no eventSocket; add the path "
                    "of tcp-info's socket to it, or take the source kernel",
                )


def _check_subject(
    document: Document[Measurement], manifests: Manifests
) -> Iterator[Problem]:
    aliases = document.object.spec.aliases
    if aliases is None:
        return
    namespace = document.object.metadata.namespace
    subject = manifests.find(Measurement, (namespace, aliases.of))
    if subject and subject.object.spec.aliases:
        yield document.problem(
            ("spec", "aliases", "of"),
            f"Measurement {aliases.of!r} is of the tool aliases itself; name one with "
            "paths",
        )


def _check_list(
    document: Document[TargetList], manifests: Manifests
) -> Iterator[Problem]:
    target_list = document.object
    wanted = target_list.spec.place.config_map
    if wanted is None:
        return
    namespace = target_list.metadata.namespace
    found = manifests.find(ConfigMap, (namespace, wanted.name))
    path: Path = ("spec", "configMap")
    if target_list.spec.routes is not None:
        path = ("spec", "routes", "configMap")
    if found is None:
        if manifests.may_hold(ConfigMap, wanted.name):
            return
        yield document.problem(
            (*path, "name"),
            f"there is no ConfigMap {wanted.name!r} in namespace {namespace!r}; add it "
            "or correct the name",
        )
    elif found.object.content(wanted.key) is None:
        keys = ", ".join([*found.object.data, *found.object.binary_data]) or "none"
        yield document.problem(
            (*path, "key"),
            f"ConfigMap {wanted.name!r} has no key {wanted.key!r}; it has {keys}",
        )
