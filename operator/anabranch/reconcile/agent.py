"""Agents: each has one pod, which is replaced when it ends or must change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anabranch.api.agent import AgentStatus
from anabranch.cluster.client import FORBIDDEN, INVALID, RefusedError
from anabranch.cluster.objects import ForeignError, Place
from anabranch.manifests.agents import build_pod, find_template, name_secret
from anabranch.reconcile.conditions import Conditions
from anabranch.reconcile.inventory import is_active

if TYPE_CHECKING:
    from datetime import datetime

    from anabranch.api import Agent
    from anabranch.reconcile.access import Access
    from anabranch.reconcile.toolbox import Toolbox
    from anabranch.reconcile.views import PodView

_OVER = {"Succeeded", "Failed"}
"""The phases of pods that kubelet does not start again."""
_SHARED = (
    "its pod has the store's credentials that all have, so whoever takes its node over "
    "can read and spoil all surveys; set store.agentSecret, see docs/security.md"
)
_LEAST_SECONDS = 30.0
"""How many seconds old a pod must be before it is made again."""


@dataclass(frozen=True)
class AgentDecision:
    """The status of an agent, and what happens to its pod."""

    status: AgentStatus
    creates: bool = False
    deletes: PodView | None = None
    again_seconds: float | None = None
    """When to look again, even if nothing happens."""


def decide_agent(  # noqa: PLR0913 (what is seen of an agent)
    agent: Agent,
    pod: PodView | None,
    template: str,
    active: int,
    now: datetime,
    *,
    standing: int = 0,
    credentials: str = "",
    confined: bool = True,
) -> AgentDecision:
    """Decide what happens to the pod of an agent with ``active`` active Rounds.

    ``template`` is the hash of the template of the wanted pod. ``standing`` of the
    Rounds have no end, so the pod does not wait for them. ``credentials`` is the
    Secret with those for the store, and ``confined`` tells whether they are its own. A
    pod with others does not wait: the store may not know them any more.
    """
    conditions = Conditions(agent, agent.status.conditions, now)
    creates, deletes, again = pod is None, None, None
    if pod is None:
        conditions.set("Ready", "PodMissing", "its pod is made", holds=False)
    elif pod.is_going:
        conditions.set("Ready", "PodEnding", "its pod is about to end", holds=False)
    elif pod.phase in _OVER:
        # A node that takes no pods ends each at once, so do not replace it at once.
        left = (pod.created_at - now).total_seconds() + _LEAST_SECONDS
        deletes, again = (None, left) if left > 0 else (pod, None)
        message = f"its pod has ended: {pod.message or pod.phase}"
        conditions.set("Ready", "PodEnded", message, holds=False)
    elif pod.template != template and (
        active <= standing or not pod.is_ready or pod.credentials != credentials
    ):
        deletes = pod
        conditions.set("Ready", "Replacing", "its pod is replaced", holds=False)
    elif pod.is_ready:
        waits = pod.template != template
        reason = "Draining" if waits else "PodReady"
        message = "its pod is replaced after its rounds" if waits else "it can probe"
        conditions.set("Ready", reason, message)
    else:
        message = pod.message or "its pod is not ready yet"
        if not pod.is_placed:
            node = agent.spec.node_name
            message = f"no node {node!r} takes its pod; see that it is there: {message}"
        conditions.set("Ready", "PodNotReady", message, holds=False)
    if confined:
        message = "its credentials for the store are its own"
        conditions.set("StoreConfined", "OwnCredentials", message)
    else:
        conditions.set("StoreConfined", "SharedCredentials", _SHARED, holds=False)
    status = AgentStatus(
        observed_generation=agent.metadata.generation,
        conditions=conditions.all,
        pod_name=pod.name if pod else None,
        version=pod.version if pod else None,
        active_rounds=active,
    )
    return AgentDecision(status, creates, deletes, again)


@dataclass(frozen=True)
class Agents:
    """The reconciler of Agents."""

    tools: Toolbox

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Give an agent its pod; return the seconds after which to look again.

        Raises:
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        tools = self.tools
        found = tools.inventory.agents.get((namespace, name))
        agent = next(iter(found or ()), None)
        if agent is None or agent.metadata.deletion_timestamp:
            return None  # Kubernetes removes its pod.
        agent = tools.recall(agent)
        if namespace != tools.settings.namespace:
            await self._refuse(
                agent,
                "WrongNamespace",
                f"only Agents in namespace {tools.settings.namespace!r} count; make "
                "it there",
            )
            return None
        if earlier := self._find_earlier(agent):
            message = f"Agent {earlier!r} is on node {agent.spec.node_name!r} too; a "
            message += "node is one vantage point: remove one of them"
            await self._refuse(agent, "NodeTaken", message)
            return tools.look_seconds
        manifest = build_pod(tools.settings, agent)
        pod = tools.inventory.find_pod(name)
        refusal = await _admit(tools.access, agent) if tools.access else ""
        if refusal and pod is None:
            await self._wait(agent, "StoreRefuses", refusal)
            return tools.look_seconds
        active = tools.inventory.find_active(name)
        template = find_template(manifest)
        standing = sum(map(is_active, tools.inventory.find_standing(name)))
        decision = decide_agent(
            agent,
            pod,
            template,
            active,
            tools.now(),
            standing=standing,
            credentials=name_secret(tools.settings.store, agent),
            confined=tools.settings.store.confines_agents,
        )
        if decision.creates and not await self._make_pod(agent, manifest):
            return tools.look_seconds
        await tools.say(agent, decision.status)
        if decision.deletes:
            place = Place("Pod", namespace, decision.deletes.name)
            await tools.objects.delete(place, decision.deletes.uid)
        return tools.look_seconds if refusal else decision.again_seconds

    async def _make_pod(self, agent: Agent, manifest: dict[str, Any]) -> bool:
        """Make an agent's pod; return False if it can't be, which is said."""
        try:
            if access := self.tools.access:
                await access.equip(agent)
            await self.tools.objects.create(manifest)
        except ForeignError as error:
            await self._refuse(agent, "NameTaken", str(error))
            return False
        except RefusedError as error:
            if error.status not in {FORBIDDEN, INVALID}:
                raise
            await self._refuse(
                agent,
                "PodForbidden",
                f"its pod is not allowed here: {error}; see the namespace's label "
                "pod-security.kubernetes.io/enforce, and quotas",
            )
            return False
        return True

    def _find_earlier(self, agent: Agent) -> str | None:
        """Return the name of an older agent on the same node, if there is one."""
        others = self.tools.inventory.find_agents().values()
        earlier = min(
            (each for each in others if each.spec.node_name == agent.spec.node_name),
            key=lambda each: (str(each.metadata.creation_timestamp), each.key),
        )
        return None if earlier.key == agent.key else earlier.metadata.name

    async def _wait(self, agent: Agent, reason: str, message: str) -> None:
        """Say that its pod waits for something, which passes."""
        await self._tell(agent, reason, message, is_stalled=False)

    async def _refuse(self, agent: Agent, reason: str, message: str) -> None:
        """Say why it can't have a pod until somebody changes something."""
        await self._tell(agent, reason, message, is_stalled=True)

    async def _tell(
        self, agent: Agent, reason: str, message: str, *, is_stalled: bool
    ) -> None:
        agent = self.tools.recall(agent)
        conditions = Conditions(agent, agent.status.conditions, self.tools.now())
        conditions.set("Ready", reason, message, holds=False)
        conditions.set("Stalled", reason, message, holds=is_stalled)
        update = {
            "conditions": conditions.all,
            "observed_generation": agent.metadata.generation,
        }
        await self.tools.say(agent, agent.status.model_copy(update=update))


async def _admit(access: Access, agent: Agent) -> str:
    """Let an agent reach the store; return why the store does not let it, if so."""
    try:
        await access.admit(agent)
    except OSError as error:
        return str(error)
    return ""
