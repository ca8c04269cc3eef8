"""What Prometheus is told: counted when it asks, from what is in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
)
from prometheus_client.registry import Collector

from anabranch.reconcile.inventory import is_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from anabranch.api import Resource
    from anabranch.control.queue import WorkQueue
    from anabranch.control.watch import Key
    from anabranch.reconcile.inventory import Inventory

_MEASUREMENT_STATES = ("Failed", "Complete", "Suspended", "Ready")


@dataclass(eq=False)
class OperatorCollector(Collector):
    """Counts what there is."""

    queue: WorkQueue[Key]
    open_inventory: Callable[[], Inventory | None]
    """The objects, once there are any."""
    is_leading: Callable[[], bool]

    def collect(self) -> Iterable[Metric]:
        """All that is told."""
        queue = self.queue
        yield GaugeMetricFamily(
            "anabranch_operator_leading",
            "1 if this operator leads, 0 if it stands by.",
            value=self.is_leading(),
        )
        yield GaugeMetricFamily(
            "anabranch_operator_queue_length",
            "Objects that are to be looked at, now or later.",
            value=len(queue),
        )
        yield GaugeMetricFamily(
            "anabranch_operator_queue_lag_seconds",
            "For how long the object that waits the longest is due.",
            value=queue.lag,
        )
        yield GaugeMetricFamily(
            "anabranch_operator_failing_objects",
            "Objects whose last look ended with an error.",
            value=len(queue.failures),
        )
        reconciles = CounterMetricFamily(
            "anabranch_operator_reconciles",
            "Looks at objects, by how they ended.",
            labels=["outcome"],
        )
        reconciles.add_metric(["done"], queue.done)
        reconciles.add_metric(["failed"], queue.failed)
        yield reconciles
        inventory = self.open_inventory()
        if inventory is not None:
            yield from _count_objects(inventory)


def _count_objects(inventory: Inventory) -> Iterable[Metric]:
    states = Counter(
        _find_state(each) for found in inventory.measurements.values() for each in found
    )
    measurements = GaugeMetricFamily(
        "anabranch_measurements", "Measurements, by state.", labels=["state"]
    )
    for state in (*_MEASUREMENT_STATES, "Waiting"):
        measurements.add_metric([state.lower()], states[state])
    yield measurements
    rounds = [
        each
        for (by, _), found in inventory.rounds.items()
        for each in found
        if by == "agent"
    ]
    over = sum(map(is_over, rounds))
    gauge = GaugeMetricFamily(
        "anabranch_rounds", "Rounds that there are, by state.", labels=["state"]
    )
    gauge.add_metric(["active"], len(rounds) - over)
    gauge.add_metric(["over"], over)
    yield gauge
    agents = inventory.find_agents().values()
    ready = sum(agent.holds("Ready") for agent in agents)
    gauge = GaugeMetricFamily("anabranch_agents", "Agents, by state.", labels=["state"])
    gauge.add_metric(["ready"], ready)
    gauge.add_metric(["unready"], len(agents) - ready)
    yield gauge


def _find_state(measurement: Resource) -> str:
    return next((s for s in _MEASUREMENT_STATES if measurement.holds(s)), "Waiting")
