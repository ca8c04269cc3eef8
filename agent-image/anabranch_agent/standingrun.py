"""One standing Round: connections end, and their clients are traced."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.api.round import SERVING, ConnectionCounts
from anabranch.connections.queuefile import explain
from anabranch_agent.backoff import Backoff
from anabranch_agent.demand import Drop, Hold, Leave, Pause, Probe
from anabranch_agent.parts import NOTHING, Totals
from anabranch_agent.shift import Shift, add_counts
from anabranch_agent.status import View
from anabranch_agent.threads import in_thread
from anabranch_agent.work import LEFT, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch_agent.demand import Demand
    from anabranch_agent.queues import Queue
    from anabranch_agent.shift import Books, Server

_log = logging.getLogger(__name__)
_PENDING = Hold("Pending", "the queue of connections is opened")
_TAKEN = Hold("Pending", "the queue is in use yet, by the Round before this one")
_SERVING = "clients are traced as their connections end"


@dataclass(kw_only=True)
class StandingRun(Work):
    """A run that serves a standing Round as demanded.

    What waits is in its queue, so that the process that follows a crash, or the Round
    that follows a changed spec, goes on with it.
    """

    doing = SERVING

    queue: Queue
    make: Callable[[Probe], Server]
    """Makes a server over the queue, which takes a while."""
    give_up: Callable[[], None]
    """Records what waits as dropped, and stores everything."""
    books: Books
    _trouble: Hold | None = _PENDING
    _totals: Totals = NOTHING
    """The counts of servers that have ended."""
    _served: ConnectionCounts = field(default_factory=ConnectionCounts)
    """The same of connections."""
    _shift: Shift | None = None

    @property
    def is_ending(self) -> bool:
        """Whether it only goes on with what it has begun: it has no end."""
        return False

    @property
    def pace(self) -> int:
        """The probes a second that it has sent lately: it is never ending."""
        return 0

    @property
    def is_idle(self) -> bool:
        """Whether no client waits for a trace or is traced."""
        return self._shift is not None and self._shift.is_idle

    @property
    def waiting_files(self) -> int:
        """The number of files that wait: archives are only made to be stored."""
        return 0

    @property
    def waiting_bytes(self) -> int:
        """The size of the queue, and of what it has for the store."""
        return self._shift.bytes if self._shift else 0

    def look(self) -> None:
        """Count nothing: a server does that."""

    def view(self) -> View:
        """Return the present state of the Round."""
        hold, shift = self.find_hold(), self._shift
        return View(
            generation=self.measured.metadata.generation,
            start_time=self._start_time,
            completion_time=None,
            block=0,
            parts=0,
            totals=self._totals + (shift.totals if shift else NOTHING),
            is_traced=True,
            is_ready=hold is None,
            reason=hold.reason if hold else SERVING,
            message=hold.message if hold else _SERVING,
            connections=add_counts(self._served, shift.counts if shift else None),
            policy=self.policy,
        )

    def find_hold(self) -> Hold | None:
        """Return the most important reason why it does not serve, or None."""
        match self.demand:
            case Pause(hold):
                return hold
            case Probe(paused=paused):
                trouble = self._shift.find_trouble() if self._shift else None
                return self._trouble or paused or trouble
            case Leave() | Drop():
                return LEFT

    def _pass_on(self, demand: Demand) -> None:
        if self._shift:
            self._shift.follow(demand)

    async def _drop(self) -> None:
        self.queue.rounds -= 1
        await self.queue.end(self.give_up, self.times)

    async def _leave(self) -> None:
        """Store everything, even what waits, if the store takes it in time.

        Kubernetes asks a process to end when its pod goes, and the folder goes with
        it. After a crash the folder is there.
        """
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        end = time.monotonic() + self.times.stop / 2
        while trouble := await self.queue.settle(self.give_up):
            wait = backoff.fail()
            if time.monotonic() + wait > end:
                _log.warning("%s: not all is stored: %s", self.name, trouble)
                return
            await asyncio.sleep(wait)

    async def _attempt(self, probe: Probe, backoff: Backoff) -> None:
        """Run one server, or report why there is none."""
        if self.queue.lock.locked():
            self._tell(_TAKEN)
            await self._rest(self.times.check)
            return
        try:
            async with self.queue.lock:
                await self._serve(probe)
        except sqlite3.Error as error:
            self._tell(Hold("QueueUnavailable", explain(error, self.folder)))
        except (OSError, ValueError) as error:
            self._tell(Hold("ProbingError", str(error)))
        else:
            backoff.succeed()
            return
        await self._rest(backoff.fail())

    async def _serve(self, probe: Probe) -> None:
        """Serve until another demand.

        Raises:
            OSError: When the kernel refuses.
            ValueError: When an option can't be used here.
            sqlite3.Error: When the queue can't be opened.
        """
        server = await in_thread(lambda: self.make(probe))
        shift = self._shift = Shift(server, probe, self.books, self._begin)
        shift.follow(self.demand)
        running = shift.start(self.times.check, self._news.set)
        self.governor.attach(self.uid, server)
        self.is_probing = True
        self.changed()
        try:
            while not running.done():
                before = shift.find_trouble()
                await self._rest(self.times.check)
                if not running.done():
                    # Not earlier: a server that can't run finds that out at once.
                    self._tell(None)
                if shift.find_trouble() != before:
                    self.changed()
        finally:
            server.stop()
            await asyncio.wait({running})
            self.governor.detach(self.uid)
            self.is_probing = False
            self._totals += shift.totals
            self._served = add_counts(self._served, shift.counts)
            self._shift = None
            # This marks the error as seen. It is raised below, if no other is.
            running.exception()
        running.result()
        self._trouble = _PENDING
