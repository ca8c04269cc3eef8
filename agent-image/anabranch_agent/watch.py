"""Objects of the API server, kept up to date."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anabranch.cluster.client import GONE, RefusedError, UnreachableError
from anabranch_agent.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anabranch.cluster.client import Cluster
    from anabranch_agent.config import Times

_log = logging.getLogger(__name__)
_Object = TypeVar("_Object")


@dataclass
class Watch(Generic[_Object]):
    """The objects at a path, as the last event left them."""

    cluster: Cluster
    path: str
    query: Mapping[str, str]
    """The selectors that choose among them."""
    read: Callable[[dict[str, Any]], _Object]
    """Returns what is kept of an object."""
    changed: Callable[[], None]
    """Called when one has changed."""
    clock: Callable[[], float]
    times: Times
    objects: dict[str, _Object] = field(default_factory=dict)
    """The objects, by UID."""
    is_synced: bool = False
    """Whether all of them have been seen once."""
    _known_at: float = 0
    """When something was last heard."""
    _is_open: bool = False
    _told: str = ""

    def age(self) -> float | None:
        """Return the seconds for which changes may be missed; None before a list."""
        if not self.is_synced:
            return None
        return 0 if self._is_open else self.clock() - self._known_at

    async def run(self) -> None:
        """List and watch the objects, forever."""
        backoff = Backoff(self.times.backoff, self.times.most_backoff / 3)
        version = ""
        while True:
            began, reason = self.clock(), ""
            try:
                version = await self._follow(version or await self.refresh())
            except RefusedError as error:
                reason = "" if error.status == GONE else str(error)
                version = ""  # list all objects anew
            except UnreachableError as error:
                reason = str(error)
            finally:
                self._is_open = False
            if reason and not self._told:
                self._told = reason
                _log.warning("%s: %s; trying again", self.path, reason)
            if self.clock() - began > self.times.most_backoff:
                backoff.succeed()
            await asyncio.sleep(backoff.fail())

    async def refresh(self) -> str:
        """List all objects anew; return their resource version.

        Raises:
            RefusedError: When the API server refuses the request.
            UnreachableError: When it does not answer.
        """
        found = await self.cluster.request("GET", self.path, query=self.query)
        self.objects = {
            item["metadata"]["uid"]: self.read(item) for item in found["items"]
        }
        self.is_synced = True
        self._known_at = self.clock()
        self.changed()
        version: str = found["metadata"]["resourceVersion"]
        return version

    async def _follow(self, version: str) -> str:
        """Apply the events after a version until the stream ends; return the last.

        Raises:
            RefusedError: When the API server ends the stream, such as with Gone.
            UnreachableError: When the stream breaks.
        """
        query = {**self.query, "resourceVersion": version}
        async for event in self.cluster.watch(
            self.path, query, self.times.silence, self._open
        ):
            self._known_at = self.clock()
            found = event["object"]
            if event["type"] == "ERROR":
                raise RefusedError(found.get("code", 0), found.get("message", ""))
            version = found["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            uid = found["metadata"]["uid"]
            if event["type"] == "DELETED":
                self.objects.pop(uid, None)
            else:
                self.objects[uid] = self.read(found)
            self.changed()
        return version

    def _open(self) -> None:
        self._known_at = self.clock()
        self._is_open = True
        if self._told:
            self._told = ""
            _log.info("%s: watched again", self.path)
