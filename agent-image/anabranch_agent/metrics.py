"""What Prometheus is told."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from anabranch_agent.parts import NOTHING, Totals, find_invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anabranch_engine import Statistics
    from prometheus_client.metrics_core import Metric

_PREFIX = "anabranch_agent_"


@dataclass
class Tally:
    """What all probers counted since the process started."""

    totals: Totals = NOTHING
    invalid: dict[str, int] = field(default_factory=dict)
    parts: int = 0
    """Parts stored."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, more: Totals, invalid: dict[str, int]) -> None:
        """Counts what a prober counted since the last time, and invalid by reason."""
        with self._lock:
            self.totals += more
            for reason, number in invalid.items():
                self.invalid[reason] = self.invalid.get(reason, 0) + number

    def add_part(self) -> None:
        """Counts a part that was stored."""
        with self._lock:
            self.parts += 1


@dataclass(frozen=True)
class Gauges:
    """How the agent is now."""

    probing_rate: float
    """Probes a second that are granted and may be sent."""
    granted_rate: float
    lease_age: float | None
    policy_age: float | None
    parts_waiting: int
    active_rounds: int


class AgentCollector(Collector):
    """Tells the tally and the gauges as they are when it is asked."""

    def __init__(self, tally: Tally, look: Callable[[], Gauges], version: str) -> None:
        self._tally = tally
        self._look = look
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        totals, gauges = self._tally.totals, self._look()
        for name, says, number in (
            ("probes_sent", "Probes sent", totals.sent),
            ("replies", "Valid replies", totals.replies),
            ("dropped", "Packets that the kernel dropped unread", totals.dropped),
            ("send_errors", "Probes that the kernel refused", totals.unsent),
            ("parts_uploaded", "Reply parts stored", self._tally.parts),
        ):
            yield CounterMetricFamily(_PREFIX + name, says, value=number)
        invalid = CounterMetricFamily(
            f"{_PREFIX}invalid", "Replies that failed validation", labels=["reason"]
        )
        for reason, number in sorted(self._tally.invalid.items()):
            invalid.add_metric([reason], number)
        yield invalid
        for name, says, value in (
            (
                "probing_rate",
                "Probes a second that may be sent now",
                gauges.probing_rate,
            ),
            (
                "granted_rate",
                "Probes a second while the Lease is held",
                gauges.granted_rate,
            ),
            ("lease_age_seconds", "Since the Lease was renewed", gauges.lease_age),
            ("policy_age_seconds", "Since the policy was known", gauges.policy_age),
            (
                "parts_waiting",
                "Reply parts that wait for the store",
                gauges.parts_waiting,
            ),
            ("active_rounds", "Rounds that are probed now", gauges.active_rounds),
        ):
            if value is not None:
                yield GaugeMetricFamily(_PREFIX + name, says, value=value)
        build = GaugeMetricFamily(
            f"{_PREFIX}build_info", "The version", labels=["version"]
        )
        build.add_metric([self._version], 1)
        yield build


def make_registry(
    tally: Tally, look: Callable[[], Gauges], version: str
) -> CollectorRegistry:
    """A registry of the agent's metrics alone."""
    registry = CollectorRegistry()
    registry.register(AgentCollector(tally, look, version))
    return registry


def grow_invalid(now: Statistics, before: dict[str, int]) -> dict[str, int]:
    """By how much each reason grew."""
    return {name: n - before.get(name, 0) for name, n in find_invalid(now).items()}
