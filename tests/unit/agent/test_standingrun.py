"""How the agent serves a standing Round, of a server that is made up."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from anabranch_engine import PrefixSet
from prometheus_client import CollectorRegistry

from anabranch.api import Round
from anabranch.connections.counts import Counts
from anabranch_agent.clienttally import ClientTally
from anabranch_agent.config import Times
from anabranch_agent.deadman import DeadMan
from anabranch_agent.demand import Drop, Hold, Leave, Limits, Pause, Probe
from anabranch_agent.governor import Governor
from anabranch_agent.metrics import Tally
from anabranch_agent.queues import Queue
from anabranch_agent.shift import Books
from anabranch_agent.standingrun import StandingRun
from devcluster.process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from anabranch_engine import ClientTrace, Statistics

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TIMES = Times(check=0.01, backoff=0.01, most_backoff=0.01, stop=0.2)
NONE, SOME = PrefixSet([]), PrefixSet(["192.0.2.0/24"])
FIELDS = (
    *("sent", "unsent", "forbidden", "unroutable", "replies", "foreign"),
    *("forged", "unplanned", "late", "excess", "dropped", "stalled_us", "traced"),
)


def tell(it: Rig) -> int:
    """How many connections the run says were traced."""
    connections = it.run.view().connections
    return connections.traced if connections else 0


def demand(max_ttl: int = 30, forbidden: PrefixSet = NONE) -> Probe:
    """A demand to serve."""
    limits = Limits(1, max_ttl, interface=None, sources=(), contact="me@here")
    return Probe(limits, forbidden)


@dataclass
class Fake:
    """A server that tells what it was told to tell."""

    counts: Counts = field(default_factory=Counts)
    disk_trouble: str = ""
    event_trouble: str = ""
    store_trouble: str = ""
    fails: Exception | None = None
    rates: list[int] = field(default_factory=list)
    forbidden: PrefixSet | None = None
    sent: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, note: Callable[[Statistics], None], every: float) -> Statistics:
        """Tells until it is stopped."""
        if self.fails:
            raise self.fails
        is_over = False
        while not is_over:
            is_over = self.stopped.wait(every)
            values = dict.fromkeys(FIELDS, 0) | {"sent": self.sent}
            statistics = cast("Statistics", SimpleNamespace(**values))
            note(statistics)
        return statistics

    def stop(self) -> None:
        """Ends."""
        self.stopped.set()

    def set_rate(self, rate: int) -> None:
        """Takes a rate."""
        self.rates.append(rate)

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Takes a rate to one client."""

    def forbid(self, forbidden: PrefixSet) -> None:
        """Takes what is forbidden."""
        self.forbidden = forbidden


@dataclass
class Rig:
    """A run, and what surrounds it."""

    run: StandingRun
    servers: list[Fake]
    """Those that were made, and before it those that will be."""
    made: list[Probe]
    given_up: list[Exception | None]
    """What comes of each time that the run gives up what waits; nothing by default."""
    registry: CollectorRegistry
    times_given_up: int = 0

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits until something holds."""
        async with asyncio.timeout(30 * PATIENCE):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.005)

    async def wait_reason(self, reason: str) -> None:
        """Waits until the view has a reason."""
        await self.until(lambda: self.run.view().reason == reason)

    def read(self, name: str, **labels: str) -> float | None:
        """What Prometheus would be told."""
        return self.registry.get_sample_value(name, labels)


@contextlib.asynccontextmanager
async def rig(
    folder: Path, *servers: Fake, queue: Queue | None = None
) -> AsyncIterator[Rig]:
    """A run that goes on as long as a ``with`` lasts, or until it is dropped."""
    queue = queue or Queue(folder)
    queue.rounds += 1
    registry = CollectorRegistry()
    waiting = list(servers)
    found = Rig(cast("StandingRun", None), [], [], [], registry)

    def make(probe: Probe) -> Fake:
        found.made.append(probe)
        found.servers.append(waiting.pop(0) if waiting else Fake())
        return found.servers[-1]

    def give_up() -> None:
        found.times_given_up += 1
        error = found.given_up.pop(0) if found.given_up else None
        if error:
            raise error

    spec = {
        "measurement": {"name": "servers", "uid": "1"},
        "runId": "1",
        "agent": "paris",
        "nodeName": "n1",
        "round": 1,
        "standing": {
            "connections": {"source": "kernel", "ports": [443]},
            "trace": {},
            "failureProbability": 0.05,
        },
        "rate": 100,
    }
    metadata = {"name": "r", "namespace": "research", "uid": "u", "generation": 1}
    head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": "Round"}
    found.run = StandingRun(
        measured=Round.read({**head, "metadata": metadata, "spec": spec}),
        folder=folder,
        queue=queue,
        make=make,
        give_up=give_up,
        governor=Governor(DeadMan(1.0), lambda: 0.0),
        books=Books(Tally(registry), ClientTally(registry), lambda: NOW),
        times=TIMES,
        now=lambda: "2026-11-29T00:00:00Z",
        changed=lambda: None,
        demand=demand(),
    )
    task = asyncio.ensure_future(found.run.run())
    try:
        yield found
        if not found.run.is_over:
            found.run.follow(found.run.measured, Drop())
        await task
    finally:
        for server in found.servers:
            server.stop()
        task.cancel()


def test_what_it_serves_is_told(tmp_path: Path) -> None:
    """In the status and to Prometheus; when the source told of something, too."""

    async def act() -> None:
        server = Fake(Counts(waiting=3))
        async with rig(tmp_path / "q", server) as it:
            await it.wait_reason("Serving")
            view = it.run.view()
            assert view.is_ready
            assert view.connections
            assert view.connections.waiting == 3
            assert view.connections.last_event_time is None
            server.counts.traced, server.counts.copied = 2, 1
            server.counts.reasons["queue full"] = 4
            server.counts.hops_met, server.counts.hops_told = 9, 8
            server.counts.hops_stored, server.counts.annotator_errors = 6, 1
            server.sent = 7
            await it.until(lambda: it.run.view().totals.sent)
            view = it.run.view()
            assert view.connections
            assert (view.connections.traced, view.connections.copied) == (2, 1)
            assert view.connections.dropped == 4
            assert view.connections.last_event_time == NOW
            assert view.start_time == "2026-11-29T00:00:00Z"
            assert it.read("anabranch_agent_connections_waiting") == 3
            assert it.read("traces_skipped_total", type="queue full") == 4
            assert it.read("anabranch_agent_probes_sent_total") == 7
            for kind, operation, count in (
                ("hopcache", "inserted", 9),
                ("hopcache", "annotated", 8),
                ("hopannotation", "written", 6),
            ):
                labels = {"type": kind, "operation": operation}
                assert it.read("hop_cache_operations_total", **labels) == count
            labels = {"type": "hopannotation", "error": "annotate"}
            assert it.read("hop_annotation_errors_total", **labels) == 1
        assert it.read("anabranch_agent_connections_waiting") == 0

    asyncio.run(act())


def test_a_suspended_round_has_no_server(tmp_path: Path) -> None:
    """What was counted stays, and another one goes on with the queue."""

    async def act() -> None:
        first = Fake(Counts(waiting=3, traced=0), sent=5)
        async with rig(tmp_path / "q", first, Fake(Counts(waiting=2))) as it:
            await it.wait_reason("Serving")
            first.counts.traced = 1
            await it.until(lambda: tell(it))
            it.run.follow(it.run.measured, Pause(Hold("Suspended", "it says so")))
            assert first.stopped.is_set()
            await it.until(lambda: not it.run.is_probing)
            view = it.run.view()
            assert (view.reason, view.is_ready) == ("Suspended", False)
            assert view.totals.sent == 5
            assert view.connections
            assert view.connections.waiting == 3
            it.run.follow(it.run.measured, demand())
            await it.wait_reason("Serving")
            view = it.run.view()
            assert view.connections
            assert (view.connections.waiting, view.connections.traced) == (2, 1)
        assert len(it.servers) == 2

    asyncio.run(act())


def test_other_limits_take_another_server_and_opt_outs_do_not(tmp_path: Path) -> None:
    """As for probers."""

    async def act() -> None:
        async with rig(tmp_path / "q") as it:
            await it.wait_reason("Serving")
            it.run.follow(it.run.measured, demand(forbidden=SOME))
            assert it.servers[0].forbidden == SOME
            assert not it.servers[0].stopped.is_set()
            it.run.follow(it.run.measured, demand(max_ttl=20))
            await it.until(lambda: len(it.servers) == 2)
            assert it.servers[0].stopped.is_set()
            assert it.made[1].limits.max_ttl == 20

    asyncio.run(act())


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("disk_trouble", "QueueUnavailable"),
        ("event_trouble", "EventsUnavailable"),
        ("store_trouble", "StoreUnavailable"),
    ],
)
def test_troubles_have_reasons(tmp_path: Path, trouble: str, reason: str) -> None:
    """They go as they come, and end no server."""

    async def act() -> None:
        async with rig(tmp_path / "q") as it:
            await it.wait_reason("Serving")
            setattr(it.servers[0], trouble, "what is wrong")
            await it.wait_reason(reason)
            assert it.run.view().message == "what is wrong"
            assert not it.run.view().is_ready
            setattr(it.servers[0], trouble, "")
            await it.wait_reason("Serving")
            assert len(it.servers) == 1

    asyncio.run(act())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no raw sockets"), "ProbingError"),
        (ValueError("no event socket"), "ProbingError"),
        (sqlite3.DatabaseError("it is malformed"), "QueueUnavailable"),
    ],
)
def test_what_can_not_be_now_is_tried_again(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    """Until it can."""

    async def act() -> None:
        broken = [Fake(fails=error) for _ in range(3)]
        async with rig(tmp_path / "q", *broken) as it:
            reasons = set[str]()

            def serves() -> bool:
                reasons.add(it.run.view().reason)
                return len(it.servers) == 4 and it.run.view().is_ready

            await it.until(serves)
            assert reason in reasons

    asyncio.run(act())


def test_a_round_that_goes_is_settled_before_its_folder_goes(tmp_path: Path) -> None:
    """As soon as the store takes it, however long that takes."""
    folder = tmp_path / "q"
    folder.mkdir()

    async def act() -> None:
        async with rig(folder) as it:
            await it.wait_reason("Serving")
            it.given_up.extend([OSError("away")] * 100)
            it.given_up.append(sqlite3.OperationalError("full"))
            it.run.follow(it.run.measured, Drop())
            await it.until(lambda: it.run.is_over)
            assert it.times_given_up == 102
            assert not folder.exists()

    asyncio.run(act())


def test_a_round_goes_on_with_the_queue_of_the_one_before(tmp_path: Path) -> None:
    """Once that has left it; nothing is given up, and nothing goes."""
    folder = tmp_path / "q"
    folder.mkdir()

    async def act() -> None:
        queue = Queue(folder)
        async with rig(folder, queue=queue) as old:
            await old.wait_reason("Serving")
            async with rig(folder, queue=queue) as new:
                await new.until(lambda: "before this one" in new.run.view().message)
                assert not new.servers
                old.run.follow(old.run.measured, Pause(Hold("Suspended", "edited")))
                await new.wait_reason("Serving")
                old.run.follow(old.run.measured, Drop())
                await old.until(lambda: old.run.is_over)
                assert old.times_given_up == 0
                assert folder.exists()
                assert new.run.view().is_ready
            assert new.times_given_up == 1
            assert not folder.exists()

    asyncio.run(act())


def test_a_store_that_stays_away_is_not_waited_for(tmp_path: Path) -> None:
    """Another process may come, whose folder this is after a crash."""
    folder = tmp_path / "q"
    folder.mkdir()

    async def act() -> None:
        async with rig(folder) as it:
            await it.wait_reason("Serving")
            it.given_up.extend([OSError("away")] * 1000)
            it.run.follow(it.run.measured, Leave())
            await it.until(lambda: it.run.is_over)
            assert 1 < it.times_given_up < 1000
            assert folder.exists()
            assert it.run.view().reason == "AgentStopped"

    asyncio.run(act())


def test_traces_are_timed_by_how_they_end() -> None:
    """By the names of M-Lab."""
    registry = CollectorRegistry()
    tally = ClientTally(registry)
    for text, seconds in ((b"{}", 2.0), (b"{}", 200.0), (b"", 1.0)):
        trace = SimpleNamespace(began_us=0, ended_us=int(seconds * 1e6), text=text)
        tally.observe(cast("ClientTrace", trace))

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert read("traces_performed_total") == 2
    assert read("traces_crashed_total") == 1
    assert read("trace_time_seconds_sum", outcome="success") == 202
    assert read("trace_time_seconds_bucket", outcome="success", le="2.15") == 1
    assert read("trace_time_seconds_count", outcome="error") == 1
