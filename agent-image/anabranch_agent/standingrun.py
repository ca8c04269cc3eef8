"""One standing Round: connections end, and their clients are traced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.api.round import SERVING, ConnectionCounts
from anabranch_agent.backoff import Backoff
from anabranch_agent.demand import Drop, Hold, Leave, Pause, Probe
from anabranch_agent.parts import NOTHING, Totals
from anabranch_agent.shift import Shift, add_counts
from anabranch_agent.status import View
from anabranch_agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch.api import Round
    from anabranch_agent.config import Times
    from anabranch_agent.demand import Demand
    from anabranch_agent.governor import Governor
    from anabranch_agent.shift import Books, Server

_log = logging.getLogger(__name__)
_PENDING = Hold("Pending", "the queue of connections is opened")
_LEFT = Hold("AgentStopped", "the agent's process is ending; the next one begins anew")
_SERVING = "clients are traced as their connections end"


@dataclass
class StandingRun:
    """A run that serves a standing Round as demanded.

    What waits is in the folder, so that the process that follows a crash goes on with
    it.
    """

    measured: Round
    folder: Path
    """The Round's own folder, with the queue of connections."""
    make: Callable[[Probe], Server]
    """Makes a server over the queue, which takes a while."""
    give_up: Callable[[], None]
    """Records what waits as dropped, and stores everything."""
    governor: Governor
    books: Books
    times: Times
    now: Callable[[], str]
    """The time as Kubernetes writes it."""
    changed: Callable[[], None]
    """Called when there is news to report, or when rates must be shared anew."""
    demand: Demand
    is_probing: bool = False
    """Whether it gets a share of the agent's rate."""
    is_over: bool = False
    _trouble: Hold | None = _PENDING
    """What keeps it from serving; None if nothing does."""
    _start_time: str | None = None
    _totals: Totals = NOTHING
    """The counts of servers that have ended."""
    _served: ConnectionCounts = field(default_factory=ConnectionCounts)
    """The same of connections."""
    _shift: Shift | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if began := self.measured.status.start_time:
            self._start_time = began.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def uid(self) -> str:
        """The UID of the Round."""
        return self.measured.metadata.uid

    @property
    def name(self) -> str:
        """The name that logs and messages give it."""
        return "/".join(self.measured.key)

    @property
    def is_ending(self) -> bool:
        """Whether it only goes on with what it has begun: it has no end."""
        return False

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

    def follow(self, measured: Round, demand: Demand) -> None:
        """Take up a new demand; what it forbids is forbidden at once."""
        self.measured = measured
        before, self.demand = self.demand, demand
        if demand == before:
            return
        if self._shift:
            self._shift.follow(demand)
        self._news.set()
        self.changed()

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
                return _LEFT

    async def run(self) -> None:
        """Work until the Round is no longer wanted."""
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        while not self.is_over:
            self._news.clear()
            match self.demand:
                case Drop():
                    await self._settle(self.times.stop)
                    if self.folder.exists():
                        await in_thread(lambda: shutil.rmtree(self.folder))
                    self.is_over = True
                    _log.info("%s: dropped", self.name)
                case Leave():
                    # Kubernetes asks a process to end when its pod goes, and the
                    # folder goes with it. After a crash the folder is there.
                    await self._settle(self.times.stop / 2)
                    self.is_over = True
                case Pause():
                    await self._news.wait()
                case Probe() as probe:
                    await self._attempt(probe, backoff)
        self.changed()

    async def _attempt(self, probe: Probe, backoff: Backoff) -> None:
        """Run one server, or report why there is none; after a failure, rest."""
        try:
            await self._serve(probe)
        except sqlite3.Error as error:
            self._tell(Hold("QueueUnavailable", f"{self.folder}: {error}"))
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

    def _begin(self) -> None:
        self._start_time = self._start_time or self.now()

    async def _rest(self, seconds: float) -> None:
        """Wait for some seconds, or until there is news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _tell(self, trouble: Hold | None) -> None:
        """Set what keeps the Round from being served; report a new reason."""
        before, self._trouble = self._trouble, trouble
        if (before and before.reason) != (trouble and trouble.reason):
            words = f"{trouble.reason}: {trouble.message}" if trouble else SERVING
            _log.info("%s: %s", self.name, words)
            self.changed()

    async def _settle(self, seconds: float) -> None:
        """Record what waits as given up and store everything, if the store takes it."""
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        end = time.monotonic() + seconds
        while True:
            try:
                await in_thread(self.give_up)
            except (OSError, sqlite3.Error) as error:
                wait = backoff.fail()
                if time.monotonic() + wait > end:
                    _log.warning("%s: not all is stored: %s", self.name, error)
                    return
                await asyncio.sleep(wait)
            else:
                return
