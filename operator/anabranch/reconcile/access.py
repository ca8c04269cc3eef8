"""Access of agents to the store, where it is a gateway: a user for each agent."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.api.annotation import name_objects
from anabranch.manifests.agents import build_secret, name_user
from anabranch.store.access import Reach, derive_key, stretch, write_bucket_policy

if TYPE_CHECKING:
    from anabranch.api import Agent
    from anabranch.api.round import RoundSpec
    from anabranch.cluster.objects import Objects
    from anabranch.manifests.settings import Settings
    from anabranch.reconcile.inventory import Inventory
    from anabranch.store.gateway import Gateway

_GENERATION_DIGITS = 4
"""They tell keys of the root apart, and say next to nothing about one."""


def reach_of(spec: RoundSpec) -> Reach:
    """Return what of the store a Round takes."""
    sources = spec.standing.annotate_from if spec.standing else ()
    return Reach(
        owners=frozenset({spec.team or spec.agent}),
        objects=frozenset(name_objects(sources)),
    )


@dataclass
class Access:
    """The users of a gateway, and what its policy lets them reach."""

    settings: Settings
    """With the generation of the keys."""
    objects: Objects
    inventory: Inventory
    gateway: Gateway
    stretched: bytes
    """What agents' keys are made of."""
    _users: dict[str, str] = field(default_factory=dict)
    """The UIDs of agents that have a user, by name."""
    _reaches: dict[str, Reach] = field(default_factory=dict)
    """What Rounds take that were made meanwhile, by the name of the agent."""
    _policy: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @staticmethod
    def open(
        settings: Settings, objects: Objects, inventory: Inventory, gateway: Gateway
    ) -> Access:
        """Find out of what agents' keys are made.

        Raises:
            OSError: If there are no credentials of the gateway's root.
        """
        stretched = stretch(gateway.root_secret)
        digest = hashlib.sha256(stretched).hexdigest()[:_GENERATION_DIGITS]
        store = settings.store.model_copy(update={"generation": digest})
        settings = settings.model_copy(update={"store": store})
        return Access(settings, objects, inventory, gateway, stretched)

    async def admit(self, agent: Agent) -> None:
        """Give an agent a user, if it has none, and a part of the policy.

        Raises:
            OSError: If the gateway does not do it now.
        """
        if self._users.get(agent.metadata.name) == agent.metadata.uid:
            return
        async with self._lock:
            # All at once: a policy without those of others would lock them out.
            for each in [*self.inventory.find_agents().values(), agent]:
                name, uid = each.metadata.name, each.metadata.uid
                if self._users.get(name) != uid:
                    key = derive_key(self.stretched, uid)
                    put = self.gateway.put_user
                    await asyncio.to_thread(put, name_user(each), key)
                    self._users[name] = uid
            await self._write()

    async def equip(self, agent: Agent) -> None:
        """Make the Secret for an agent's pod, unless it is there.

        Raises:
            RefusedError: When the API server refuses it.
            UnreachableError: When the API server can't be reached.
        """
        variables = {
            "AWS_ACCESS_KEY_ID": name_user(agent),
            "AWS_SECRET_ACCESS_KEY": derive_key(self.stretched, agent.metadata.uid),
            "AWS_DEFAULT_REGION": self.gateway.store.region,
        }
        manifest = build_secret(self.settings, agent, variables)
        await self.objects.create_unread(manifest)

    async def widen(self, agent: Agent, spec: RoundSpec) -> None:
        """Let an agent reach what a Round takes that is about to be made.

        Raises:
            OSError: If the gateway does not do it now.
        """
        await self.admit(agent)
        name, reach = agent.metadata.name, reach_of(spec)
        async with self._lock:
            self._reaches[name] = self._reaches.get(name, reach) | reach
            await self._write()

    async def _write(self) -> None:
        """Put the policy if it differs from the last one."""
        there = self.inventory.find_agents()
        reaches = {
            name_user(agent): self._find_reach(name)
            for name, agent in there.items()
            if name in self._users
        }
        policy = write_bucket_policy(self.settings.store.bucket, reaches)
        if policy != self._policy:
            await asyncio.to_thread(self.gateway.put_policy, policy)
            self._policy = policy

    def _find_reach(self, name: str) -> Reach:
        reach = Reach(frozenset({name})) | self._reaches.get(name, Reach(frozenset()))
        for found in self.inventory.find_agent_rounds(name):
            reach |= reach_of(found.spec)
        return reach
