"""What the collectors give, and what queries ask for."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import ProbingPolicy
from anabranch.api.policy import POLICY_NAME
from anabranch.control.census import Progress
from anabranch.control.metrics import Looks, OperatorCollector
from anabranch.control.metrics import make_registry as make_operator_registry
from anabranch.control.queue import WorkQueue
from anabranch.reconcile.inventory import Inventory
from anabranch.reconcile.quotas import Quotas
from anabranch.store.directory import DirectoryStore
from anabranch_agent.clienttally import ClientTally
from anabranch_agent.metrics import AgentCollector, Gauges, Tally
from anabranch_agent.metrics import make_registry as make_agent_registry
from observations import NOW, read_kind, see

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Sample

    from anabranch.control.watch import Key

EMPTY = Inventory("anabranch-system", {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
IDLE = Gauges(
    probing_rate=0,
    granted_rate=0,
    lease_age=1.0,
    policy_age=1.0,
    parts_waiting=0,
    bytes_waiting=0,
    bytes_limit=1 << 30,
    active_rounds=0,
    standing_rounds=0,
    held_rounds={},
)
_SELECTOR = re.compile(r"\b((?:anabranch|process)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_OF_SCRAPES = {"namespace", "pod"}
"""The labels that Prometheus adds."""


def watch_operator(
    inventory: Inventory = EMPTY, version: str = "1", quotas: Quotas | None = None
) -> CollectorRegistry:
    """A registry as an operator has it that knows these objects."""

    async def reconcile(_: Key) -> float | None:
        return None

    registry = make_operator_registry()
    queue = WorkQueue(reconcile, lambda: 0.0, Looks(registry).note)
    progress = Progress(lambda: 0.0)
    found = quotas or Quotas(DirectoryStore(Path()), inventory, lambda each: each)
    registry.register(
        OperatorCollector(
            version,
            queue,
            lambda: inventory,
            lambda: True,
            progress,
            lambda: found,
            lambda: NOW,
        )
    )
    return registry


def watch_limited_operator() -> CollectorRegistry:
    """A registry as an operator has it whose namespaces have quotas."""
    quota = {"maxProbesPerDay": 1000, "maxConcurrentRuns": 2}
    spec = {"contact": "me@here", "limits": quota}
    policy = read_kind(ProbingPolicy, POLICY_NAME, spec)
    seen = replace(see(), policy=policy.spec)
    limited = replace(
        EMPTY,
        policies={(EMPTY.system, POLICY_NAME): [policy]},
        measurements={seen.measurement.key: [seen.measurement]},
    )
    quotas = Quotas(DirectoryStore(Path()), limited, lambda each: each)
    asyncio.run(quotas.open(seen))
    return watch_operator(quotas=quotas)


def watch_agent(gauges: Gauges = IDLE, version: str = "1") -> CollectorRegistry:
    """A registry as an agent has it that is so."""
    registry = make_agent_registry()
    Tally(registry)
    ClientTally(registry)
    registry.register(AgentCollector(lambda: gauges, version))
    return registry


def list_samples() -> list[Sample]:
    """All that an operator and an agent tell."""
    registries = (watch_operator(), watch_agent())
    return [
        sample
        for registry in registries
        for metric in registry.collect()
        for sample in metric.samples
    ]


@dataclass(frozen=True)
class Selector:
    """What a query asks for: a name, and what labels are to be."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def selects(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it selects a sample, whose labels of scrapes are not known."""
        return name == self.name and all(
            _compare(labels.get(label, ""), operator, value)
            for label, operator, value in self.matchers
            if label not in _OF_SCRAPES
        )


def find_selectors(query: str) -> Iterator[Selector]:
    """What a query asks for."""
    for name, matchers in _SELECTOR.findall(query):
        yield Selector(name, tuple(_MATCHER.findall(matchers)))


def _compare(found: str, operator: str, value: str) -> bool:
    is_same = (
        re.fullmatch(value, found) is not None if "~" in operator else found == value
    )
    return is_same is not operator.startswith("!")
