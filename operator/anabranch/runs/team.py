"""A team: the agents that share the targets of an entry of a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api.agent import AgentSpec, AgentStatus
from anabranch.api.resource import ObjectMeta
from anabranch.rounds.division import share_ttls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anabranch.api import Agent


def unite(name: str, agents: Sequence[Agent]) -> Agent:
    """Return a team as one agent, which may only do what all of its members may.

    Any member may get any target. So what one member must not probe is left out, and
    the TTLs are those that all of them may probe.

    Raises:
        ValueError: If they can't be a team, with the remedy.
    """
    specs = [agent.spec for agent in agents]
    lowest, highest = share_ttls(name, specs)
    exclusions = dict.fromkeys(each for spec in specs for each in spec.exclusions)
    spec = AgentSpec(
        node_name=name,
        max_probing_rate=sum(spec.max_probing_rate for spec in specs),
        min_ttl=lowest,
        max_ttl=highest,
        wait_seconds=max(spec.wait_seconds for spec in specs),
        exclusions=tuple(exclusions),
        allow_reserved=all(spec.allow_reserved for spec in specs),
    )
    metadata = ObjectMeta(name=name, namespace=agents[0].metadata.namespace)
    return agents[0].model_copy(
        update={"metadata": metadata, "spec": spec, "status": AgentStatus()}
    )
