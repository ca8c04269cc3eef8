"""Enrolment: every node with a certain label becomes an Agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import ForeignError, Place
from anabranch.manifests.agents import build_enrolled_agent
from anabranch.manifests.labels import ENROLLED

if TYPE_CHECKING:
    from anabranch.api import Agent
    from anabranch.reconcile.toolbox import Toolbox


@dataclass(frozen=True)
class Enrolment:
    """The reconciler of nodes."""

    tools: Toolbox

    async def reconcile(self, _: str, name: str) -> float | None:
        """Create or update the Agent of a node that has the label; else delete it.

        An Agent of the same name that somebody else made is left as it is.

        Raises:
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        tools, enrol = self.tools, self.tools.settings.agents.enrol
        if enrol is None:
            return None
        node = next(iter(tools.inventory.nodes.get(("", name), ())), None)
        agent = tools.inventory.find_agents().get(name)
        wanted = node is not None and node.labels.get(enrol.label) == "true"
        is_ours = agent and agent.metadata.labels.get(ENROLLED) == "true"
        place = Place("Agent", tools.settings.namespace, name)
        if wanted and agent is None:
            try:
                await tools.objects.create(build_enrolled_agent(tools.settings, name))
            except ForeignError:
                return tools.look_seconds
        if wanted and agent and is_ours:
            manifest = build_enrolled_agent(tools.settings, name)
            if not _agrees(agent, manifest):
                labels = {"labels": manifest["metadata"]["labels"]}
                changes = {"metadata": labels, "spec": manifest["spec"]}
                await tools.objects.patch(place, changes)
        if not wanted and agent and is_ours:
            await tools.objects.delete(place, agent.metadata.uid)
        return None


def _agrees(agent: Agent, manifest: dict[str, Any]) -> bool:
    """Return whether an Agent has every label and field of enrolled Agents."""
    spec = agent.spec.model_dump(mode="json", by_alias=True)
    wanted, labels = manifest["spec"], manifest["metadata"]["labels"]
    return (
        all(spec.get(name) == value for name, value in wanted.items())
        and labels.items() <= agent.metadata.labels.items()
    )
