"""One leader: a Lease, as Kubernetes' own controllers hold it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from anabranch.cluster.client import (
    CONFLICT,
    NOT_FOUND,
    RefusedError,
    UnreachableError,
)
from anabranch.cluster.objects import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.cluster.client import Cluster

_log = logging.getLogger(__name__)
NAME = "anabranch-operator"


class LostError(Exception):
    """Another one may lead by now."""


@dataclass
class Election:
    """One that wants to lead."""

    cluster: Cluster
    namespace: str
    identity: str
    clock: Callable[[], float]
    """Seconds that never run backwards."""
    lease_seconds: int = 15
    """How long others wait for a leader that does not say anything."""
    renew_seconds: float = 5.0
    """How often the leader says something."""
    _seen: tuple[str, str] = ("", "")
    _seen_at: float = 0.0

    @property
    def _place(self) -> Place:
        return Place("Lease", self.namespace, NAME)

    async def win(self) -> None:
        """Waits until this one leads."""
        while True:
            try:
                if await self._try():
                    _log.info("leading as %s", self.identity)
                    return
            except UnreachableError as error:
                _log.warning("%s", error)
            await asyncio.sleep(self.renew_seconds)

    async def hold(self) -> None:
        """Renews the Lease for as long as that goes well.

        Raises:
            LostError: When it was not renewed in time, or someone else has it.
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
            except UnreachableError as error:
                _log.warning("%s", error)
                continue
            except TimeoutError:
                raise LostError("the Lease could not be renewed in time") from None
            renewed = began

    async def release(self) -> None:
        """Lets another one lead at once."""
        found = await self._get()
        if found and found["spec"].get("holderIdentity") == self.identity:
            await self._put(found, holder="")

    async def _try(self) -> bool:
        """Takes or renews the Lease, if it is free or ours."""
        found = await self._get()
        try:
            if found is None:
                folder = Place("Lease", self.namespace).path
                body = self._describe({"name": NAME, "namespace": self.namespace})
                await self.cluster.request("POST", folder, body=body)
                return True
            if not self._may_take(found["spec"]):
                return False
            await self._put(found, holder=self.identity)
        except RefusedError as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    def _may_take(self, spec: dict[str, Any]) -> bool:
        holder = spec.get("holderIdentity") or ""
        if holder in {"", self.identity}:
            return True
        seen = (holder, spec.get("renewTime", ""))
        # Clocks of others are not to be trusted: what counts is that nothing changes.
        if seen != self._seen:
            self._seen, self._seen_at = seen, self.clock()
        return self.clock() - self._seen_at > self.lease_seconds

    async def _get(self) -> dict[str, Any] | None:
        try:
            return await self.cluster.request("GET", self._place.path)
        except RefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def _put(self, found: dict[str, Any], *, holder: str) -> None:
        # The version has those lose who did not see what the others did.
        metadata = {
            name: found["metadata"][name]
            for name in ("name", "namespace", "resourceVersion")
        }
        body = self._describe(metadata, holder)
        await self.cluster.request("PUT", self._place.path, body=body)

    def _describe(
        self, metadata: dict[str, Any], holder: str | None = None
    ) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.identity if holder is None else holder,
                "leaseDurationSeconds": self.lease_seconds,
                "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }
