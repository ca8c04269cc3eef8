"""The election of one leader by a Lease, as Kubernetes' own controllers do it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from anabranch.cluster.client import CONFLICT, RefusedError, UnreachableError
from anabranch.cluster.lease import Seen, look, may_take, write_lease
from anabranch.cluster.objects import Objects, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.cluster.client import Cluster

_log = logging.getLogger(__name__)
NAME = "anabranch-operator"


class LostError(Exception):
    """A loss of leadership: another operator may lead by now."""


@dataclass
class Election:
    """A candidate that wants to lead."""

    cluster: Cluster
    namespace: str
    identity: str
    clock: Callable[[], float]
    """A monotonic clock, in seconds."""
    lease_seconds: int = 15
    """How long others wait for a leader that does not renew the Lease."""
    renew_seconds: float = 3.0
    """How many seconds the leader waits between renewals."""
    _seen: Seen | None = None

    @property
    def _place(self) -> Place:
        return Place("Lease", self.namespace, NAME)

    async def win(self) -> None:
        """Wait until this candidate leads."""
        while True:
            try:
                if await self._try():
                    _log.info("leading as %s", self.identity)
                    return
            except (RefusedError, UnreachableError) as error:
                _log.warning("%s", error)
            await asyncio.sleep(self.renew_seconds)

    async def hold(self) -> None:
        """Renew the Lease until that fails.

        Raises:
            LostError: When it was not renewed in time, or someone else holds it.
        """
        renewed = self.clock()
        while True:
            await asyncio.sleep(self.renew_seconds)
            left = renewed + self.lease_seconds - self.renew_seconds - self.clock()
            began = self.clock()
            try:
                async with asyncio.timeout(max(left, 0)):
                    if not await self._try():
                        raise LostError("someone else leads")
            except (RefusedError, UnreachableError) as error:
                _log.warning("%s", error)
                continue
            except TimeoutError:
                raise LostError("the Lease could not be renewed in time") from None
            renewed = began

    async def release(self) -> None:
        """Let another candidate lead at once."""
        found = await self._get()
        if found and found["spec"].get("holderIdentity") == self.identity:
            await self._write("PUT", self._place.path, found, "")

    async def _try(self) -> bool:
        """Take or renew the Lease if it is free or ours; return whether that worked."""
        found = await self._get()
        try:
            if found is None:
                folder = Place("Lease", self.namespace).path
                await self._write("POST", folder, self._new(), self.identity)
                return True
            now = self.clock()
            self._seen = look(found, self._seen, now)
            if not may_take(self._seen, self.identity, now, self.lease_seconds):
                return False
            await self._write("PUT", self._place.path, found, self.identity)
        except RefusedError as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    async def _get(self) -> dict[str, Any] | None:
        return await Objects(self.cluster).get(self._place)

    async def _write(
        self, method: str, path: str, lease: dict[str, Any], holder: str
    ) -> None:
        # The Lease has its version: a candidate that read an older one is refused.
        body = write_lease(lease, holder, datetime.now(UTC), self.lease_seconds)
        await self.cluster.request(method, path, body=body)

    def _new(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": self.namespace},
        }
