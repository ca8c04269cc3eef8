"""The operator's metrics for Prometheus, and the counters of looks at objects."""

from __future__ import annotations

from collections import Counter as Tally
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

from anabranch.control.census import Progress, count_objects, count_quotas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from prometheus_client.core import Metric

    from anabranch.control.queue import WorkQueue
    from anabranch.control.watch import Key
    from anabranch.reconcile.inventory import Inventory
    from anabranch.reconcile.quotas import Quotas

LOOKED_AT = (
    *("Measurement", "Survey", "Agent", "TargetList", "ProbingPolicy"),
    *("Node", "Orphans"),
)
"""The kinds of keys in the queue."""
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Looks:
    """Counters of looks at objects, and of how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "anabranch_operator_reconciles",
            "Looks at objects, by their kind and by how the look ended.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._took = Histogram(
            "anabranch_operator_reconcile_duration_seconds",
            "How long looks at objects took, by their kind.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        for kind in LOOKED_AT:
            self._took.labels(kind)
            for outcome in ("done", "failed"):
                self._ended.labels(kind, outcome)

    def note(self, key: Key, seconds: float, error: Exception | None) -> None:
        """Count a look at the object of a key."""
        kind, *_ = key
        self._ended.labels(kind, "failed" if error else "done").inc()
        self._took.labels(kind).observe(seconds)


@dataclass(eq=False)
class OperatorCollector(Collector):
    """A collector of the operator's state and of all objects."""

    version: str
    queue: WorkQueue[Key]
    open_inventory: Callable[[], Inventory | None]
    """Returns the objects, or None before all of them are known."""
    is_leading: Callable[[], bool]
    progress: Progress
    open_quotas: Callable[[], Quotas | None]
    """Returns the quotas of namespaces, or None before all objects are known."""
    now: Callable[[], datetime]

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        build = GaugeMetricFamily(
            "anabranch_operator_build_info",
            "1, of the operator's version.",
            labels=["version"],
        )
        build.add_metric([self.version], 1)
        yield build
        yield GaugeMetricFamily(
            "anabranch_operator_leading",
            "1 if this operator leads, 0 if it stands by.",
            value=self.is_leading(),
        )
        yield from self._describe_queue()
        inventory = self.open_inventory()
        if inventory is not None:
            yield from count_objects(inventory, self.progress)
        quotas = self.open_quotas()
        if quotas is not None:
            yield from count_quotas(quotas, self.now().date())

    def _describe_queue(self) -> Iterator[Metric]:
        queue = self.queue
        yield GaugeMetricFamily(
            "anabranch_operator_queue_length",
            "Objects that are to be looked at, now or later.",
            value=len(queue),
        )
        yield GaugeMetricFamily(
            "anabranch_operator_queue_lag_seconds",
            "For how long an object is due that was not looked at, or not to the end.",
            value=queue.lag,
        )
        failing = GaugeMetricFamily(
            "anabranch_operator_failing_objects",
            "Objects whose last look ended with an error, by their kind.",
            labels=["kind"],
        )
        counts = Tally(kind for kind, *_ in queue.failures)
        for kind in LOOKED_AT:
            failing.add_metric([kind], counts[kind])
        yield failing


def make_registry() -> CollectorRegistry:
    """Make a registry with this process's memory and CPU time."""
    # Nobody needs the times at which counters were created.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry
