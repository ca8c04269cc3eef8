"""Check whether measurements can probe what they ask for, before they send probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api import Agent, ProbingPolicy
from anabranch.api.policy import POLICY_NAME
from anabranch.api.references import select_agents
from anabranch.rounds.division import share_ttls
from anabranch.rounds.shortfall import describe_nothing, find_coverage
from anabranch.rounds.targets import choose_targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anabranch_engine import TargetList

    from anabranch.api import Measurement
    from anabranch.api.document import Path
    from anabranch.api.manifest import Document, Key, Manifests, Problem
    from anabranch.api.measurementspec import MeasurementAgent
    from anabranch.api.policy import ProbingPolicySpec


def find_infeasible(
    manifests: Manifests, lists: Mapping[Key, TargetList]
) -> list[Problem]:
    """Return a problem for each thing that keeps a measurement from its targets.

    Target lists that are missing from ``lists`` are not checked.
    """
    policies = [
        each.object.spec
        for each in manifests.of_kind(ProbingPolicy)
        if each.object.metadata.name == POLICY_NAME
    ]
    problems: list[Problem] = []
    for document in manifests.of_measurements():
        if policies:
            problems += _check(document, manifests, lists, policies[0])
        elif not manifests.may_hold(ProbingPolicy):
            message = f"there is no ProbingPolicy {POLICY_NAME!r}, and without one"
            problems.append(
                document.problem(
                    ("spec",),
                    f"{message} nothing is sent; add it (a cluster's chart brings one)",
                )
            )
    return problems


def _check(
    document: Document[Measurement],
    manifests: Manifests,
    lists: Mapping[Key, TargetList],
    policy: ProbingPolicySpec,
) -> Iterator[Problem]:
    measurement = document.object
    limit = policy.limits.max_rounds
    if measurement.spec.max_rounds > limit:
        message = f"the policy allows {limit}; lower it"
        yield document.problem(("spec", "maxRounds"), message)
    agents = [each.object for each in manifests.of_kind(Agent)]
    yield from _find_shared(document, agents)
    for index, entry in enumerate(measurement.spec.agents):
        chosen = select_agents(entry, agents)
        if entry.division == "shared" and chosen:
            try:
                share_ttls(entry.name, [agent.spec for agent in chosen])
            except ValueError as error:
                yield document.problem(("spec", "agents", index), str(error))
        name = entry.target_list
        content = lists.get((measurement.metadata.namespace, name)) if name else None
        if content is None:
            continue
        for complaint in _find_complaints(measurement, entry, agents, content, policy):
            path: Path = ("spec", "agents", index, "targetList")
            yield document.problem(path, complaint)


def _find_shared(
    document: Document[Measurement], agents: list[Agent]
) -> Iterator[Problem]:
    """Yield a problem for each agent that two entries choose: its list is ambiguous."""
    chosen: dict[str, str] = {}
    for index, entry in enumerate(document.object.spec.agents):
        for agent in select_agents(entry, agents):
            name = agent.metadata.name
            other = chosen.setdefault(name, entry.name)
            if other != entry.name:
                message = f"Agent {name!r} is of {other!r} too; let one entry choose it"
                yield document.problem(("spec", "agents", index), message)


def _find_complaints(
    measurement: Measurement,
    entry: MeasurementAgent,
    agents: list[Agent],
    content: TargetList,
    policy: ProbingPolicySpec,
) -> Iterator[str]:
    tool = measurement.spec.tool
    chosen = select_agents(entry, agents)
    # Agents that may probe the same space get the same targets.
    alike = {
        (
            *(a.spec.exclusions, a.spec.allow_reserved),
            *(a.spec.min_ttl, a.spec.max_ttl),
        ): a
        for a in reversed(chosen)
    }
    for agent in reversed(alike.values()):
        try:
            counts = choose_targets(content, tool, policy, agent.spec).counts
        except ValueError as error:
            yield f"Agent {agent.metadata.name!r}: {error}"
        else:
            if not counts.probed:
                nothing = describe_nothing(find_coverage(counts))
                yield f"Agent {agent.metadata.name!r}: {nothing}"
