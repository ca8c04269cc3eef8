"""An agent's traces of clients: from events to archives."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from anabranch_engine import ClientTracing

from anabranch.connections.clerk import Clerk
from anabranch.connections.closing import Heard, Missed
from anabranch.connections.queuefile import explain
from anabranch.connections.sources import open_source
from anabranch.connections.waiting import Traced
from anabranch.rounds.tracing import choose_parameters

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from anabranch_engine import ClientTrace, PrefixSet, Statistics

    from anabranch.api.connections import Standing
    from anabranch.connections.counts import Counts
    from anabranch.connections.hops import Annotator
    from anabranch.connections.sources import Source
    from anabranch.connections.storing import Shelf
    from anabranch.connections.waiting import Waiting

_TICK_SECONDS = 0.05
"""How long it waits for traces to end before it looks at events again."""
_STOP_SECONDS = 10.0
"""How long it waits for the engine to stop."""
_LISTEN_SECONDS = 1.0
"""How often it notes that it has listened."""


@dataclass(frozen=True)
class Probing:
    """How clients are probed; None stands for what the system says."""

    rate: int
    max_rate_per_prefix: float
    forbidden: PrefixSet
    min_ttl: int = 1
    max_ttl: int = 255
    contact: str = ""
    interface: str | None = None
    sources: tuple[str, ...] = ()
    network: Path | None = None


@dataclass
class Service:
    """The traces of one agent, which go on until it is told to stop.

    Whatever it knows is in its folder, so that another one goes on where this one ends.
    """

    standing: Standing
    shelf: Shelf
    probing: Probing
    event_socket: Path | None = None
    """The socket of tcp-info, if it is the source of events."""
    annotator: Annotator | None = None
    """Who knows about the addresses that traces meet, if anybody does."""
    now: Callable[[], float] = time.time
    """The time in seconds since 1970."""
    ended: Callable[[ClientTrace], None] = lambda _: None
    """Called with each trace that has ended."""
    _tracing: ClientTracing = field(init=False)
    _waiting: Waiting = field(init=False)
    _clerk: Clerk = field(init=False)
    _disk_trouble: str = ""
    """What keeps events and traces out of the queue's file, if anything does."""
    _is_paused: bool = field(init=False)
    """Whether traces that begin would only come closer to their deadline."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _held: Heard = field(default_factory=Heard)
    """Events that could not be kept yet, since the disk is full."""
    _lost: tuple[float, int] | None = None
    """Since when, and how many events were not kept, since the disk is full."""
    _source: Source | None = None
    _noted: float = 0.0
    """When it noted that it listens, by the monotonic clock."""
    _ended: list[ClientTrace] = field(default_factory=list)
    """Traces that could not be kept yet."""

    def __post_init__(self) -> None:
        connections, probing = self.standing.connections, self.probing
        self._is_paused = probing.rate == 0
        self._waiting = self.shelf.open_waiting()
        self._clerk = Clerk(
            self.shelf.open_storing(),
            connections.archive_seconds,
            self.annotator,
            self._waiting.counts,
            self.now,
        )
        standing = self.standing
        self._tracing = ClientTracing(
            choose_parameters(standing.trace, standing.failure_probability),
            protocol=connections.protocol,
            min_ttl=probing.min_ttl,
            max_ttl=probing.max_ttl,
            rate=probing.rate,
            max_rate_per_prefix=probing.max_rate_per_prefix,
            forbidden=probing.forbidden,
            window=connections.max_traces,
            time_limit_s=connections.deadline_seconds,
            confidence=round(100 * (1 - standing.failure_probability)),
            hostname=self.shelf.naming.agent,
            hides_clients=self.shelf.hides_clients,
            network=probing.network,
            interface=probing.interface,
            sources=[ip_address(each) for each in probing.sources],
            contact=probing.contact,
        )

    @property
    def counts(self) -> Counts:
        """What it has done so far, and what waits."""
        return self._waiting.counts

    @property
    def disk_trouble(self) -> str:
        """What is wrong with its queue's folder; nothing if all is well."""
        return self._disk_trouble or self._clerk.disk_trouble

    @property
    def store_trouble(self) -> str:
        """Why the store does not take archives; nothing if it does."""
        return self._clerk.store_trouble

    @property
    def event_trouble(self) -> str:
        """Why nobody tells of connections; nothing if somebody does."""
        return self._source.trouble if self._source else ""

    @property
    def trouble(self) -> str:
        """What keeps it from its work; nothing if all is well."""
        return (
            self.disk_trouble
            or self.event_trouble
            or self.store_trouble
            or self._clerk.annotator_trouble
        )

    @property
    def statistics(self) -> Statistics:
        """The engine's counts of probes and replies."""
        return self._tracing.statistics

    @property
    def is_silent(self) -> bool:
        """Whether it will send nothing any more."""
        return self._tracing.is_silent

    def stop(self) -> None:
        """Stop sending at once, and end."""
        self._tracing.stop()
        self._stopped.set()

    def set_rate(self, rate: int) -> None:
        """Change the rate, in probes a second; 0 sends nothing, and begins no trace."""
        self._is_paused = rate == 0
        self._tracing.set_rate(rate)

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Change the probes a second to one client."""
        self._tracing.set_max_rate_per_prefix(rate)

    def forbid(self, forbidden: PrefixSet) -> None:
        """Change the addresses that are not probed."""
        self._tracing.forbid(forbidden)

    def run(self, note: Callable[[Statistics], None], every: float = 1.0) -> Statistics:
        """Listen, trace and store until it is stopped; call ``note`` now and then.

        Raises:
            OSError: If the system refuses raw sockets, or to tell of connections.
            sqlite3.DatabaseError: If the queue is damaged.
        """
        with ThreadPoolExecutor(1) as threads, closing(self._waiting):
            clerk = threads.submit(self._clerk.run)
            try:
                self._serve(clerk, note, every)
            finally:
                if self._source:
                    self._source.close()
                self._tracing.stop()
                self._clerk.stop()
                clerk.result()
        note(self.statistics)
        return self.statistics

    def _serve(
        self, clerk: Future[None], note: Callable[[Statistics], None], every: float
    ) -> None:
        """Listen and trace until it is stopped, or until the clerk fails."""
        noted = time.monotonic()
        self._waiting.resume(self.now())
        source = self._source = open_source(
            self.standing.connections,
            hostname=self.shelf.naming.agent,
            event_socket=self.event_socket,
            heard_until=self._waiting.heard_until,
        )
        while not self._stopped.is_set() and not clerk.done():
            self._listen(source)
            self._begin()
            self._end(self._tracing.take(_TICK_SECONDS))
            if time.monotonic() >= noted + every:
                note(self.statistics)
                noted = time.monotonic()
        self._cut()

    def _listen(self, source: Source) -> None:
        """Take events; keep them if the disk is full, as many as may wait."""
        now = self.now()
        heard, held = source.hear(now), self._held
        self.counts.unreadable += heard.unreadable
        held.closings += heard.closings
        held.missed += heard.missed
        most = self.standing.connections.max_waiting
        if self._disk_trouble and len(held.closings) > most:
            since, many = self._lost or (now, 0)
            self._lost = since, many + len(held.closings) - most
            del held.closings[most:]
        is_due = time.monotonic() >= self._noted + _LISTEN_SECONDS
        if not held.closings and not held.missed and not is_due:
            return
        missed = [*held.missed]
        if self._lost:
            since, many = self._lost
            reason = f"the disk was full: {many} connections"
            missed.append(Missed(since, now, reason))
        try:
            self._waiting.add(
                held.closings,
                missed,
                heard_until=source.heard_until,
                now=now,
            )
        except sqlite3.OperationalError as error:
            self._disk_trouble = explain(error, self.shelf.folder)
            return
        if not self._ended:
            self._disk_trouble = ""
        self._held, self._lost = Heard(), None
        self._noted = time.monotonic()

    def _begin(self) -> None:
        counts = self.counts
        room = self.standing.connections.max_traces - counts.running
        if room <= 0 or not counts.waiting or self._disk_trouble or self._is_paused:
            return
        try:
            begun = self._waiting.begin(room, self.now())
        except sqlite3.OperationalError as error:
            self._disk_trouble = explain(error, self.shelf.folder)
            return
        # If it has stopped meanwhile, the next look at what has ended tells why.
        with suppress(RuntimeError):
            for number, client in begun:
                self._tracing.trace(number, ip_address(client))

    def _cut(self) -> None:
        """Cut the traces that go on; what they were for is next when it goes on."""
        self._tracing.stop()
        while ended := self._tracing.take(_STOP_SECONDS):
            self._end(ended)
        if self._ended:
            return
        try:
            self._waiting.put_back()
        except sqlite3.OperationalError as error:
            self._disk_trouble = explain(error, self.shelf.folder)

    def _end(self, traces: list[ClientTrace]) -> None:
        self._ended += traces
        while self._ended:
            trace, now = self._ended[0], self.now()
            try:
                if trace.text:
                    began = trace.began_us / 1e6
                    hops = tuple(map(str, trace.hops)) if self.annotator else ()
                    traced = Traced(began, trace.text, trace.first_hop, hops)
                    self._waiting.end(trace.number, traced, now)
                else:
                    reason = trace.refusal or trace.end
                    self._waiting.refuse(trace.number, reason, now)
            except sqlite3.OperationalError as error:
                self._disk_trouble = explain(error, self.shelf.folder)
                return
            self._ended.pop(0)
            self.ended(trace)
