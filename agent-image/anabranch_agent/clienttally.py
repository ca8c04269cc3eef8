"""What the agent counts of connections, and of the traces of their clients.

The names without our prefix are those of M-Lab's traceroute-caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from anabranch.connections.counts import REASONS

if TYPE_CHECKING:
    from anabranch_engine import ClientTrace

    from anabranch.connections.counts import Counts

_SECONDS = tuple(float(f"{10 ** (step / 6):.3g}") for step in range(24))
"""Six a decade, from 1 s to 6810 s."""
_OUTCOMES = ("traced", "copied", *REASONS)


class ClientTally:
    """The counts of all standing Rounds since the process started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def count(name: str, says: str, *labels: str) -> Counter:
            return Counter(name, says, labels, registry=registry)

        def gauge(name: str, says: str) -> Gauge:
            return Gauge(name, says, registry=registry)

        self._connections = count(
            "anabranch_agent_connections",
            "Connections that have ended, by what came of them.",
            "outcome",
        )
        self._waiting = gauge(
            "anabranch_agent_connections_waiting",
            "Connections that wait for a trace of their client.",
        )
        self._missed = count(
            "anabranch_agent_event_gaps",
            "Times in which connections may have ended unseen.",
        )
        self._unreadable = count(
            "anabranch_agent_events_unreadable", "Events that made no sense."
        )
        self._performed = count("traces_performed", "Traces of clients performed.")
        self._crashed = count(
            "traces_crashed", "Traces of clients that ended without a result."
        )
        self._skipped = count(
            "traces_skipped", "Connections that got no trace, by why.", "type"
        )
        self._running = gauge("traces_in_progress", "Traces of clients that go on.")
        self._took = Histogram(
            "trace_time_seconds",
            "How long traces of clients took, by how they ended.",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        operations = count(
            "hop_cache_operations",
            "Hops that were met, told about and stored, once a day each.",
            *("type", "operation"),
        )
        self._met = operations.labels("hopcache", "inserted")
        self._told = operations.labels("hopcache", "annotated")
        self._stored = operations.labels("hopannotation", "written")
        self._untold = count(
            "hop_annotation_errors",
            "Times when nobody told about hops, which are asked about again.",
            *("type", "error"),
        ).labels("hopannotation", "annotate")
        for outcome in _OUTCOMES:
            self._connections.labels(outcome)
        for reason in REASONS:
            self._skipped.labels(reason)
        for outcome in ("success", "error"):
            self._took.labels(outcome)

    def observe(self, trace: ClientTrace) -> None:
        """Count a trace that has ended."""
        seconds = (trace.ended_us - trace.began_us) / 1e6
        if trace.text:
            self._performed.inc()
            self._took.labels("success").observe(seconds)
        else:
            self._crashed.inc()
            self._took.labels("error").observe(seconds)

    def add(self, now: Counts, before: Counts | None) -> None:
        """Add what a server counted since the last time, or what it begins with."""
        self._waiting.inc(now.waiting - (before.waiting if before else 0))
        self._running.inc(now.running - (before.running if before else 0))
        if before is None:
            return
        self._connections.labels("traced").inc(now.traced - before.traced)
        self._connections.labels("copied").inc(now.copied - before.copied)
        for reason in REASONS:
            grown = now.reasons[reason] - before.reasons[reason]
            self._connections.labels(reason).inc(grown)
            self._skipped.labels(reason).inc(grown)
        self._missed.inc(now.missed - before.missed)
        self._unreadable.inc(now.unreadable - before.unreadable)
        self._met.inc(now.hops_met - before.hops_met)
        self._told.inc(now.hops_told - before.hops_told)
        self._stored.inc(now.hops_stored - before.hops_stored)
        self._untold.inc(now.annotator_errors - before.annotator_errors)

    def leave(self, last: Counts) -> None:
        """Take away what waited and went on when a server ended."""
        self._waiting.dec(last.waiting)
        self._running.dec(last.running)
