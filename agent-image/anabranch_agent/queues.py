"""The queues of connections that an agent has: of a measurement each, not of a Round.

A changed spec makes another Round, which goes on with the queue of the one before.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.connections.storing import Shelf
from anabranch_agent.backoff import Backoff
from anabranch_agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch.api import Round
    from anabranch.store.store import Store
    from anabranch_agent.config import Times

_log = logging.getLogger(__name__)
_PREFIX = "queue-"


@dataclass(eq=False)
class Queue:
    """The queue of one measurement."""

    folder: Path
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever has opened the queue holds it."""
    rounds: int = 0
    """How many Rounds there are of it: two, while one takes over from the other."""

    async def settle(self, give_up: Callable[[], None]) -> str:
        """Record what waits as given up and store everything.

        Return why that can't be now; nothing if it is done.
        """
        async with self.lock:
            try:
                await in_thread(give_up)
            except (OSError, sqlite3.Error) as error:
                return str(error) or repr(error)
        return ""

    async def end(self, give_up: Callable[[], None], times: Times) -> None:
        """Store everything, however long that takes, and remove its folder.

        Nothing is done while there is a Round of it, also one that comes meanwhile.
        """
        backoff = Backoff(times.backoff, times.most_backoff)
        while not self.rounds:
            if trouble := await self.settle(give_up):
                _log.warning("%s: not all is stored: %s", self.folder, trouble)
                await asyncio.sleep(backoff.fail())
            else:
                await self._remove()
                return

    async def _remove(self) -> None:
        async with self.lock:
            if not self.rounds and self.folder.exists():
                await in_thread(lambda: shutil.rmtree(self.folder))


@dataclass
class Queues:
    """All queues of an agent, also those of Rounds that went unseen."""

    scratch: Path
    store: Store
    times: Times
    now: Callable[[], float]
    """The time in seconds since 1970."""
    _known: dict[str, Queue] = field(default_factory=dict)

    def find(self, measured: Round) -> Queue:
        """Return the queue of a standing Round, whether it is there yet or not."""
        spec = measured.spec
        return self._open(f"{_PREFIX}{spec.measurement.uid}-{spec.run_id}")

    def find_in(self, folder: Path) -> Queue | None:
        """Return the queue that a folder is of, if it is of one."""
        is_one = folder.name.startswith(_PREFIX)
        return self._open(folder.name) if is_one else None

    async def settle_left(self, queue: Queue) -> None:
        """Store what an earlier process left, unless there is a Round of it."""

        def give_up() -> None:
            if shelf := Shelf.read(queue.folder, self.store):
                shelf.give_up(self.now())

        await queue.end(give_up, self.times)

    def _open(self, name: str) -> Queue:
        return self._known.setdefault(name, Queue(self.scratch / name))
