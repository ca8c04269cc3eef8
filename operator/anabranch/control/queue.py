"""The queue of keys to reconcile: each once, and again after an error."""

from __future__ import annotations

import asyncio
import heapq
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_Key = TypeVar("_Key")
_log = logging.getLogger(__name__)
FIRST_BACKOFF = 0.5
LAST_BACKOFF = 60.0


@dataclass
class WorkQueue(Generic[_Key]):
    """Keys with the times at which they are due.

    A key that is added while it is worked on is due again afterwards, so that no change
    is missed. A key that fails is due again after ever longer waits.
    """

    reconcile: Callable[[_Key], Awaitable[float | None]]
    """Works on a key; returns the seconds until the next look, or None for no look."""
    clock: Callable[[], float]
    worked: Callable[[_Key, float, Exception | None], None]
    """Called when work has ended, with the key, the seconds it took and its error."""
    failures: dict[_Key, int] = field(default_factory=dict)
    """How often each key failed in a row."""
    _due: dict[_Key, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, _Key]] = field(default_factory=list)
    _active: dict[_Key, float] = field(default_factory=dict)
    """The keys that are worked on, with the times at which they were due."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0

    def __len__(self) -> int:
        return len(self._due)

    @property
    def lag(self) -> float:
        """The seconds for which the oldest due key has waited.

        Keys that are worked on count too, so that work that hangs shows.
        """
        now = self.clock()
        due = (self._due | self._active).values()
        return max((now - each for each in due if each <= now), default=0.0)

    def add(self, key: _Key, after: float = 0.0) -> None:
        """Queue a key, due in at most ``after`` seconds."""
        due = self.clock() + after
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._heap, (due, self._count, key))
            self._changed.set()

    async def run(self, workers: int) -> None:
        """Work on due keys forever, ``workers`` keys at a time."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._take()
            began = self.clock()
            try:
                again = await self.reconcile(key)
            except Exception as error:  # noqa: BLE001 (logged, and tried again)
                self.worked(key, self.clock() - began, error)
                self._fail(key, error)
            else:
                self.worked(key, self.clock() - began, None)
                self.failures.pop(key, None)
                if again is not None:
                    self.add(key, again)
            finally:
                del self._active[key]
                self._changed.set()

    def _fail(self, key: _Key, error: Exception) -> None:
        count = self.failures[key] = self.failures.get(key, 0) + 1
        wait = min(FIRST_BACKOFF * 2 ** (count - 1), LAST_BACKOFF)
        _log.warning(
            "%s: %s; trying again in %g s", key, error, wait, exc_info=count == 1
        )
        self.add(key, wait)

    async def _take(self) -> _Key:
        """Wait for a key that is due and that nobody works on, and return it."""
        while True:
            now, passed = self.clock(), []
            found: _Key | None = None
            while self._heap and self._heap[0][0] <= now:
                entry = heapq.heappop(self._heap)
                due, _, key = entry
                if self._due.get(key) != due:
                    continue  # an earlier time took its place
                if key in self._active:
                    passed.append(entry)
                    continue
                found = key
                break
            for entry in passed:
                heapq.heappush(self._heap, entry)
            if found is not None:
                self._active[found] = self._due.pop(found)
                return found
            # A worker that is done with its key wakes all others.
            waiting = [due for due, _, key in self._heap if key not in self._active]
            wait = max(min(waiting) - now, 0.0) if waiting else None
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue
