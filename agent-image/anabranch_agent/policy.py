"""Decides what an agent may send, from the policy and its own object."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from anabranch.api.model import find_errors
from anabranch.rounds.closed import find_forbidden
from anabranch_agent.demand import SUSPENDED, Hold, Limits, Pause, Probe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch_engine import PrefixSet

    from anabranch.api import Agent, ProbingPolicy, Round
    from anabranch.api.resource import Resource
    from anabranch_agent.demand import Demand

_Kind = TypeVar("_Kind", bound="Resource")


@dataclass(frozen=True)
class Invalid:
    """An object that this version can't read."""

    message: str


@dataclass(frozen=True)
class Rules:
    """The rules for all probes of an agent."""

    total: int
    """Probes a second, of all Rounds together."""
    per_prefix: int
    """Probes a second to one prefix, of all Rounds together."""
    forbidden: PrefixSet
    limits: Limits
    namespaces: tuple[str, ...] | None
    """The namespaces whose Rounds are probed; None for all."""


def read_object(kind: type[_Kind], value: dict[str, Any]) -> _Kind | Invalid:
    """Read an object as the API server has it."""
    try:
        return kind.read(value)
    except ValidationError as error:
        first = find_errors(error)[0]
        where = ".".join(map(str, first["loc"]))
        return Invalid(f"{where}: {first['msg']}")


def read_rules(
    policy: ProbingPolicy | Invalid | None, agent: Agent | Invalid | None
) -> Rules | Hold:
    """Return what an agent may send now; without a valid policy, why it may not."""
    if policy is None:
        message = "there is no ProbingPolicy default in the system namespace"
        return Hold("NoPolicy", message)
    if isinstance(policy, Invalid):
        message = f"the ProbingPolicy can't be read: {policy.message}"
        return Hold("PolicyInvalid", message)
    if agent is None:
        return Hold("NoAgent", "the Agent is gone")
    if isinstance(agent, Invalid):
        return Hold("AgentInvalid", f"the Agent can't be read: {agent.message}")
    rules, own = policy.spec, agent.spec
    if rules.stop:
        return Hold("PolicyStop", "the ProbingPolicy says stop")
    sources = (own.source_address_v4, own.source_address_v6)
    return Rules(
        total=min(own.max_probing_rate, rules.max_rate or own.max_probing_rate),
        per_prefix=rules.max_rate_per_prefix,
        forbidden=find_forbidden(rules, own),
        limits=Limits(
            min_ttl=own.min_ttl,
            max_ttl=own.max_ttl,
            interface=own.interface,
            sources=tuple(ip_address(source) for source in sources if source),
            contact=rules.contact,
        ),
        namespaces=own.allowed_namespaces,
    )


def count_steps(rounds: Iterable[Round]) -> int:
    """Return how many of these may probe one prefix at once.

    The hand-outs of a team's step have no prefix in common, so they count once.
    """
    specs = [each.spec for each in rounds]
    steps = {
        (spec.measurement.uid, spec.run_id, spec.team, spec.round, spec.window)
        for spec in specs
        if spec.team
    }
    return len(steps) + sum(not spec.team for spec in specs)


def choose_demand(
    measured: Round,
    rules: Rules | Hold,
    lost: Hold | None,
    paused: Hold | None,
    policy: int | None = None,
) -> Demand:
    """Choose what is wanted of a Round that exists.

    ``lost`` is why the agent may not work at all, ``paused`` why its rate is 0, and
    ``policy`` the generation of the ProbingPolicy, if one is known.
    """
    namespace = measured.metadata.namespace
    if measured.spec.suspend:
        return Pause(SUSPENDED, policy)
    if lost:
        return Pause(lost, policy)
    if isinstance(rules, Hold):
        return Pause(rules, policy)
    if rules.namespaces is not None and namespace not in rules.namespaces:
        message = f"the Agent does not serve measurements of namespace {namespace}"
        return Pause(Hold("NamespaceNotAllowed", message), policy)
    return Probe(rules.limits, rules.forbidden, paused, policy)


def is_over(measured: Round) -> bool:
    """Return whether a Round's status says that nothing is left to do."""
    return any(
        condition.type in ("Complete", "Failed") and condition.status == "True"
        for condition in measured.status.conditions
    )
