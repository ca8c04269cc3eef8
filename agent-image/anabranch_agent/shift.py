"""What one server of clients does, from its start to its end, in a thread."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from anabranch.api.round import ConnectionCounts
from anabranch_agent.demand import Hold, Probe
from anabranch_agent.parts import NOTHING, Totals, count
from anabranch_agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch_engine import PrefixSet, Statistics

    from anabranch.connections.counts import Counts
    from anabranch_agent.clienttally import ClientTally
    from anabranch_agent.demand import Demand
    from anabranch_agent.metrics import Tally


class Server(Protocol):
    """What traces clients, such as `anabranch.connections.service.Service`."""

    @property
    def disk_trouble(self) -> str:
        """What is wrong with its queue's folder; nothing if all is well."""

    @property
    def store_trouble(self) -> str:
        """Why the store does not take archives; nothing if it does."""

    @property
    def event_trouble(self) -> str:
        """Why nobody tells of connections; nothing if somebody does."""

    @property
    def counts(self) -> Counts:
        """What it has done so far, and what waits."""

    def run(self, note: Callable[[Statistics], None], every: float) -> Statistics:
        """Listen, trace and store until it is stopped; call ``note`` now and then."""

    def stop(self) -> None:
        """Stop sending at once, and end."""

    def set_rate(self, rate: int) -> None:
        """Change the rate, in probes a second; 0 sends nothing."""

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Change the probes a second to one client."""

    def forbid(self, forbidden: PrefixSet) -> None:
        """Change the addresses that are not probed."""


@dataclass(frozen=True)
class Books:
    """What an agent counts of all that it does."""

    probes: Tally
    clients: ClientTally
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass
class Shift:
    """A running server, and what it was told to do."""

    server: Server
    probe: Probe
    books: Books
    began: Callable[[], None]
    """Called with each count after the first probe was sent."""
    totals: Totals = NOTHING
    counts: ConnectionCounts = field(init=False)
    bytes: int = 0
    """The size of its queue."""
    _before: Statistics | None = None
    _counted: Counts = field(init=False)

    def __post_init__(self) -> None:
        self._counted = copy.deepcopy(self.server.counts)
        self.counts = ConnectionCounts(waiting=self._counted.waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for a trace, and none goes on."""
        return not (self._counted.waiting or self._counted.running)

    def follow(self, demand: Demand) -> None:
        """Stop if the demand needs another server; else pass on what is forbidden."""
        if not self.probe.is_same_prober(demand):
            self.server.stop()
        elif isinstance(demand, Probe) and demand.forbidden != self.probe.forbidden:
            self.server.forbid(demand.forbidden)
            self.probe = demand

    def find_trouble(self) -> Hold | None:
        """Return what keeps the server from its work, or None."""
        server = self.server
        if server.disk_trouble:
            return Hold("QueueUnavailable", server.disk_trouble)
        if server.event_trouble:
            return Hold("EventsUnavailable", server.event_trouble)
        if server.store_trouble:
            return Hold("StoreUnavailable", server.store_trouble)
        return None

    def start(self, every: float, ended: Callable[[], None]) -> asyncio.Future[None]:
        """Start the server; return a future that is done when the server ends.

        The future raises what the server does.
        """
        self.books.clients.add(self._counted, None)
        running = asyncio.ensure_future(in_thread(lambda: self._run(every)))
        running.add_done_callback(lambda _: ended())
        return running

    def _run(self, every: float) -> None:
        try:
            self.server.run(self._note, every)
        finally:
            self.books.clients.leave(self._counted)

    def _note(self, statistics: Statistics) -> None:
        self.books.probes.add(statistics, self._before)
        self.totals, self._before = count(statistics), statistics
        now, before = copy.deepcopy(self.server.counts), self._counted
        self.books.clients.add(now, before)
        self._counted, self.bytes = now, now.bytes
        heard = count_heard(now) > count_heard(before)
        self.counts = ConnectionCounts(
            traced=now.traced,
            copied=now.copied,
            waiting=now.waiting,
            dropped=now.dropped,
            last_event_time=self.books.now() if heard else self.counts.last_event_time,
        )
        if statistics.sent:
            self.began()


def count_heard(counts: Counts) -> int:
    """Return how many connections there are that wait or did."""
    return counts.waiting + counts.traced + counts.copied + counts.dropped


def add_counts(
    before: ConnectionCounts, now: ConnectionCounts | None
) -> ConnectionCounts:
    """Add what a server counts to what those before it did."""
    if now is None:
        return before
    return ConnectionCounts(
        traced=before.traced + now.traced,
        copied=before.copied + now.copied,
        waiting=now.waiting,
        dropped=before.dropped + now.dropped,
        last_event_time=now.last_event_time or before.last_event_time,
    )
