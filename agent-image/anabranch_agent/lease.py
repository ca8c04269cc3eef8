"""The Lease that says which process is the agent."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anabranch.cluster.client import CONFLICT, NOT_FOUND, RefusedError, UnreachableError
from anabranch.cluster.lease import Seen, look, may_take, write_lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from anabranch.cluster.client import Cluster
    from anabranch_agent.config import Times
    from anabranch_agent.deadman import DeadMan

_log = logging.getLogger(__name__)
_RETRY = 5
"""The attempts in the time of one renewal, while the Lease is not held."""


@dataclass
class LeaseKeeper:
    """The keeper of the Lease, which renews it and tells the dead man's switch."""

    cluster: Cluster
    namespace: str
    agent: str
    holder: str
    deadman: DeadMan
    changed: Callable[[], None]
    clock: Callable[[], float]
    """Monotonic."""
    wall_clock: Callable[[], datetime]
    times: Times
    owner: Callable[[], Mapping[str, Any] | None]
    """Returns the owner reference to the Agent, or None before the Agent is seen."""
    other: str = ""
    """The other process that holds the Lease, if there is one."""
    _lease: dict[str, Any] | None = None
    """The Lease as it was last read or written."""
    _seen: Seen | None = None
    _told: str = ""
    _draw: random.Random = field(default_factory=random.Random)

    @property
    def _path(self) -> str:
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        return f"{leases}/anabranch-agent-{self.agent}"

    async def run(self) -> None:
        """Keep the Lease, forever."""
        while True:
            renewed = False
            try:
                renewed = await self._renew()
                reason = f"{self.other} holds the Lease" if self.other else ""
            except (RefusedError, UnreachableError) as error:
                reason = str(error)
                # The outcome is unknown, so read the Lease before the next try.
                self._lease = None
            state = "held" if renewed else reason
            if state and state != self._told:
                _log.info("Lease: %s", state)
                self._told = state
            self.changed()
            wait = self.times.renew if renewed else self.times.renew / _RETRY
            await asyncio.sleep(wait * self._draw.uniform(0.9, 1.1))

    async def release(self) -> None:
        """Leave the Lease to the next process, if it is held.

        Raises:
            RefusedError: When the API server refuses.
            UnreachableError: When it does not answer.
        """
        self.deadman.release()
        try:
            await self._leave()
        except RefusedError as error:
            if error.status != CONFLICT:
                raise
            # A renewal was under way when this process was told to end.
            self._lease = None
            await self._leave()

    async def _leave(self) -> None:
        if self._lease is None:
            self._lease = await self._read()
        if self._lease and look(self._lease, None, 0).holder == self.holder:
            await self._write("PUT", self._path, self._lease, "")
            _log.info("Lease: released")

    async def _renew(self) -> bool:
        """Take or renew the Lease if allowed; return whether it is held."""
        if self._lease is None:
            self._lease = await self._read()
        if self._lease is None:
            owner = self.owner()
            if owner is None:
                return False
            sent_at = self.clock()
            folder = self._path.rpartition("/")[0]
            await self._write("POST", folder, self._new(owner))
        else:
            sent_at = self.clock()
            self._seen = look(self._lease, self._seen, sent_at)
            if not may_take(self._seen, self.holder, sent_at, self.times.takeover):
                self.other = self._seen.holder
                self.deadman.release()
                self._lease = None
                return False
            try:
                await self._write("PUT", self._path, self._lease)
            except RefusedError as error:
                if error.status not in (CONFLICT, NOT_FOUND):
                    raise
                self._lease = None  # someone else changed it
                return False
        self.other = ""
        self.deadman.renew(sent_at)
        return True

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self.cluster.request("GET", self._path)
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            return None

    def _new(self, owner: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": f"anabranch-agent-{self.agent}",
                "namespace": self.namespace,
                "labels": {
                    "app.kubernetes.io/part-of": "anabranch",
                    "anabranch.dev/component": "agent",
                    "anabranch.dev/agent": self.agent,
                },
                "ownerReferences": [owner],
            },
        }

    async def _write(
        self,
        method: str,
        path: str,
        lease: Mapping[str, Any],
        holder: str | None = None,
    ) -> None:
        holder = self.holder if holder is None else holder
        body = write_lease(lease, holder, self.wall_clock(), self.times.lease)
        self._lease = await self.cluster.request(method, path, body=body)
