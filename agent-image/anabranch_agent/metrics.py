"""The agent's metrics for Prometheus."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from anabranch_agent.parts import INVALID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from anabranch_engine import Statistics
    from prometheus_client.metrics_core import Metric

_PREFIX = "anabranch_agent_"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_PASSED_OVER = ("forbidden", "unroutable")
STORE_CALLS = ("plan", "survey", "part")
"""The calls of the store: fetch a plan, survey a step's parts, store a part."""
HOLDS = (
    *("Pending", "Suspended", "Storing", "NamespaceNotAllowed"),
    *("NoPolicy", "PolicyInvalid", "PolicyStop", "PolicyUnknown"),
    *("NoAgent", "AgentInvalid", "LeaseLost"),
    *("StoreUnavailable", "ProbingError", "AgentStopped"),
    *("EventsUnavailable", "QueueUnavailable"),
)
"""Why a Round is not probed, as its condition Ready says."""


class Tally:
    """The counts of all probers and of the store's calls since the process started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def count(name: str, says: str, *labels: str) -> Counter:
            return Counter(_PREFIX + name, says, labels, registry=registry)

        self._sent = count("probes_sent", "Probes sent.")
        self._passed_over = count(
            "probes_passed_over",
            "Probes of plans that may not be sent.",
            "reason",
        )
        self._unsent = count("send_errors", "Probes that the kernel refused.")
        self._replies = count("replies", "Valid replies received.")
        self._traced = count("traces", "Traces of destinations that have ended.")
        self._invalid = count(
            "invalid", "Replies that failed validation, by reason.", "reason"
        )
        self._dropped = count("dropped", "Packets that the kernel dropped unread.")
        self._stalled = count(
            "stalled_seconds", "How long sending was held up by the machine."
        )
        self._parts = count("parts_uploaded", "Reply parts stored.")
        self._store_errors = count(
            "store_errors", "Calls of the store that failed, by call.", "call"
        )
        self._store_took = Histogram(
            f"{_PREFIX}store_duration_seconds",
            "How long calls of the store took, by call.",
            ["call"],
            buckets=_SECONDS,
            registry=registry,
        )
        for reason in INVALID:
            self._invalid.labels(reason)
        for reason in _PASSED_OVER:
            self._passed_over.labels(reason)
        for call in STORE_CALLS:
            self._store_errors.labels(call)
            self._store_took.labels(call)

    def add(self, now: Statistics, before: Statistics | None) -> None:
        """Add what a prober counted since the last time."""

        def grow(name: str) -> int:
            grown: int = getattr(now, name) - getattr(before, name, 0)
            return grown

        self._sent.inc(grow("sent"))
        self._unsent.inc(grow("unsent"))
        self._replies.inc(grow("replies"))
        self._traced.inc(grow("traced"))
        self._dropped.inc(grow("dropped"))
        self._stalled.inc(grow("stalled_us") / 1e6)
        for reason in INVALID:
            self._invalid.labels(reason).inc(grow(reason))
        for reason in _PASSED_OVER:
            self._passed_over.labels(reason).inc(grow(reason))

    def add_part(self) -> None:
        """Count a part that was stored."""
        self._parts.inc()

    @contextlib.contextmanager
    def measure(self, call: str) -> Iterator[None]:
        """Measure a call of the store, which lasts as long as the ``with`` block."""
        took, errors = self._store_took.labels(call), self._store_errors.labels(call)
        with took.time(), errors.count_exceptions(OSError):
            yield


@dataclass(frozen=True)
class Gauges:
    """The present state of the agent."""

    probing_rate: float
    """Probes a second that are granted and may be sent."""
    granted_rate: float
    lease_age: float | None
    policy_age: float | None
    parts_waiting: int
    bytes_waiting: int
    bytes_limit: int
    active_rounds: int
    standing_rounds: int
    held_rounds: Mapping[str, int]
    """The number of Rounds that are not probed, by reason."""


@dataclass(eq=False)
class AgentCollector(Collector):
    """A collector of the agent's state."""

    look: Callable[[], Gauges]
    version: str

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        now = self.look()
        for name, says, value in (
            (
                "probing_rate",
                "Probes a second that may be sent now.",
                now.probing_rate,
            ),
            (
                "granted_rate",
                "Probes a second that may be sent while the Lease is held.",
                now.granted_rate,
            ),
            (
                "lease_age_seconds",
                "Since the last renewal of the Lease was asked for; none if not held.",
                now.lease_age,
            ),
            (
                "policy_age_seconds",
                "For how long the policy may have changed unseen.",
                now.policy_age,
            ),
            (
                "parts_waiting",
                "Reply parts that wait for the store.",
                now.parts_waiting,
            ),
            (
                "parts_waiting_bytes",
                "Size of the reply parts that wait for the store.",
                now.bytes_waiting,
            ),
            (
                "parts_waiting_limit_bytes",
                "Size of waiting parts from which on nothing is sent.",
                now.bytes_limit,
            ),
            ("active_rounds", "Rounds that are probed now.", now.active_rounds),
            (
                "standing_rounds",
                "Those of them that are standing, and may have nothing to send.",
                now.standing_rounds,
            ),
        ):
            found = GaugeMetricFamily(_PREFIX + name, says)
            if value is not None:
                found.add_metric([], value)
            yield found
        held = GaugeMetricFamily(
            f"{_PREFIX}held_rounds",
            "Rounds that are not probed, by the reason of their condition Ready.",
            labels=["reason"],
        )
        for reason in HOLDS:
            held.add_metric([reason], now.held_rounds.get(reason, 0))
        yield held
        build = GaugeMetricFamily(
            f"{_PREFIX}build_info", "1, of the agent's version.", labels=["version"]
        )
        build.add_metric([self.version], 1)
        yield build


def make_registry() -> CollectorRegistry:
    """Make a registry with this process's memory and CPU time."""
    # Nobody needs the times at which counters were created.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry
