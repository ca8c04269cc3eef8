"""What the agent knows of the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from anabranch.api import Agent, ProbingPolicy, Round
from anabranch.api.policy import POLICY_NAME
from anabranch.api.resource import API_VERSION
from anabranch.cluster.client import RefusedError, UnreachableError
from anabranch_agent.policy import Invalid, read_object, read_rules
from anabranch_agent.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anabranch.api.resource import Resource
    from anabranch.cluster.client import Cluster
    from anabranch_agent.config import Config, Times
    from anabranch_agent.demand import Hold
    from anabranch_agent.policy import Rules

_log = logging.getLogger(__name__)


class Knowledge:
    """The agent's own Agent, the policy and its Rounds, as last seen."""

    def __init__(
        self,
        config: Config,
        cluster: Cluster,
        times: Times,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        def watch(
            kind: type[Resource], folder: str, query: Mapping[str, str]
        ) -> Watch[Any]:
            return Watch(
                cluster=cluster,
                path=f"/apis/{API_VERSION}{folder}/{kind.plural}",
                query=query,
                read=lambda value: _read(kind, value),
                changed=changed,
                clock=clock,
                times=times,
            )

        self._agent = config.agent
        self._rules: tuple[object, object, Rules | Hold] | None = None
        system = f"/namespaces/{config.namespace}"
        places = [f"/namespaces/{name}" for name in config.watch_namespaces] or [""]
        own = {"fieldSelector": f"metadata.name={config.agent}"}
        policy = {"fieldSelector": f"metadata.name={POLICY_NAME}"}
        rounds = {"labelSelector": f"anabranch.dev/agent={config.agent}"}
        self._agents = watch(Agent, system, own)
        self._policies = watch(ProbingPolicy, system, policy)
        self._rounds = [watch(Round, place, rounds) for place in places]

    @property
    def watches(self) -> list[Watch[Any]]:
        """All watches, each of which has to run."""
        return [self._agents, self._policies, *self._rounds]

    async def check_policy(self, every: float) -> None:
        """Read the policy again and again, since a watch may die silently."""
        while True:
            await asyncio.sleep(every)
            # What breaks this breaks the watch too, and the watch reports it.
            with contextlib.suppress(RefusedError, UnreachableError):
                await self._policies.refresh()

    @property
    def is_whole(self) -> bool:
        """Whether each watch has listed its objects once."""
        return all(watch.is_synced for watch in self.watches)

    def policy_age(self) -> float | None:
        """Return the seconds for which the policy may have changed unseen.

        Return None before the first list.
        """
        return self._policies.age()

    @property
    def policy_generation(self) -> int | None:
        """The generation of the policy, or None without a valid one."""
        policy = next(iter(self._policies.objects.values()), None)
        if not isinstance(policy, ProbingPolicy):
            return None
        return policy.metadata.generation

    def find_rules(self) -> Rules | Hold:
        """Return what may be sent, or why nothing may be sent."""
        policy = next(iter(self._policies.objects.values()), None)
        agent = self._find_agent()
        # Thousands of exclusions take a while, so read them once for each change.
        if self._rules is None or (policy, agent) != self._rules[:2]:
            self._rules = (policy, agent, read_rules(policy, agent))
        return self._rules[2]

    def find_owner(self) -> dict[str, str] | None:
        """Return the owner reference to the Agent, or None without a valid Agent."""
        agent = self._find_agent()
        if not isinstance(agent, Agent):
            return None
        name, uid = agent.metadata.name, agent.metadata.uid
        return {"apiVersion": API_VERSION, "kind": "Agent", "name": name, "uid": uid}

    def list_rounds(self) -> dict[str, Round]:
        """Return the Rounds addressed to this agent, by UID."""
        agent = self._find_agent()
        node = agent.spec.node_name if isinstance(agent, Agent) else None
        return {
            uid: measured
            for watch in self._rounds
            for uid, measured in watch.objects.items()
            if isinstance(measured, Round)
            # A label is only a hint, and an earlier Agent of this name may have been
            # on another node.
            and measured.spec.agent == self._agent
            and node in {None, measured.spec.node_name}
            and not measured.metadata.deletion_timestamp
        }

    def _find_agent(self) -> Agent | Invalid | None:
        return next(iter(self._agents.objects.values()), None)


def _read(kind: type[Resource], value: dict[str, Any]) -> Resource | Invalid:
    found = read_object(kind, value)
    if isinstance(found, Invalid):
        name = value["metadata"]["name"]
        _log.warning("%s %s can't be read: %s", kind.__name__, name, found.message)
    return found
