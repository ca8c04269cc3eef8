"""What a step of the tool aliases asks for: which addresses are compared."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from anabranch_engine import find_routers

from anabranch.api.tool import ALIAS_ROUNDS
from anabranch.rounds.comparing import choose_windows, pair_sources
from anabranch.rounds.planning import NOTHING
from anabranch.rounds.steps import FIRST
from anabranch.warehouse.traces import read_aliases, read_counters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anabranch.rounds.steps import Step
    from anabranch.warehouse.runrows import RunRows

    Row = dict[str, Any]

_ADDRESS: pa.DataType = pa.binary(16)
_TEXT: pa.DataType = pa.string()
_ADDRESSES = pa.list_(_ADDRESS)
_PAIRS = pa.schema(
    [
        ("first_addr", _ADDRESS),
        ("second_addr", _ADDRESS),
        ("verdict", _TEXT),
    ]
)


@dataclass(frozen=True)
class Comparisons:
    """What of a run's addresses is compared, step by step."""

    rows: RunRows
    targets: str
    """The SQL for the addresses, which are targets."""

    def ask(self, step: Step, before: list[Step], blocks: int) -> Iterator[pa.Table]:
        """Yield the demands of a step for each block, given the steps before it.

        The first address of a list stands for it: its target is asked for.
        """
        lists = self._choose(step, before)
        rows: list[list[Row]] = [[] for _ in range(blocks)]
        low, high = self.rows.rules.min_ttl, self.rows.rules.max_ttl
        for numbers in lists:
            first = self._known[numbers[0]]
            demand = {
                "prefix_index": numbers[0],
                "min_ttl": max(first["min_ttl"], low),
                "max_ttl": min(first["max_ttl"], high),
                "first_flow": 0,
                "flow_count": 1,
                "addresses": [self._known[number]["prefix"] for number in numbers],
            }
            rows[first["block"]].append(demand)
        schema = NOTHING.schema.append(pa.field("addresses", _ADDRESSES))
        for of_block in rows:
            yield pa.Table.from_pylist(of_block, schema)

    def _choose(self, step: Step, before: list[Step]) -> Iterable[list[int]]:
        """Return the lists of addresses that a step compares, by their numbers."""
        if step == FIRST:
            return ([number] for number in self._known)
        if step.round < ALIAS_ROUNDS:
            return self._choose_windows(before[0])
        return self._find_sets(before)

    def _choose_windows(self, first: Step) -> Iterator[list[int]]:
        """Yield lists of addresses whose counters are about as fast, by family."""
        rates: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for row in self._read(read_counters(self._parts(first))):
            if row["rate"]:
                number = row["prefix_index"]
                rates[self._known[number]["protocol"]][number] = row["rate"]
        for of_family in rates.values():
            yield from choose_windows(of_family)

    def _find_sets(self, before: list[Step]) -> Iterator[list[int]]:
        """Yield the addresses of each router that the steps have found so far."""
        known = self._known
        index = {bytes(row["prefix"]): number for number, row in known.items()}
        sources = {
            bytes(known[row["prefix_index"]]["prefix"]): row["source"]
            for row in self._read(read_counters(self._parts(before[0])))
        }
        accepted = [
            (row["first_addr"], row["second_addr"])
            for compared in before[1:]
            for row in self._read(read_aliases(self._parts(compared)))
            if row["verdict"] == "accept"
        ]
        pairs = [*accepted, *pair_sources(sources)]
        table = pa.Table.from_pylist(
            [
                {"first_addr": one, "second_addr": other, "verdict": "accept"}
                for one, other in pairs
            ],
            _PAIRS,
        )
        routers: dict[bytes, list[int]] = {}
        for row in pa.table(find_routers(table)).to_pylist():
            routers.setdefault(row["router_addr"], []).append(index[row["addr"]])
        yield from routers.values()

    @cached_property
    def _known(self) -> dict[int, Row]:
        """What is known of each address: block, prefix, protocol, and its TTLs."""
        found = self._read(
            "SELECT prefix_index, block, prefix, protocol, min_ttl, max_ttl "
            f"FROM {self.targets} ORDER BY prefix_index"
        )
        return {row["prefix_index"]: row for row in found}

    def _parts(self, step: Step) -> str:
        """Return the SQL for the rows of all blocks of a step."""
        keys = self.rows.keys.step(step)
        return self.rows.store.read_sql(f"{keys.root}/replies/*/*.parquet")

    def _read(self, query: str) -> list[Row]:
        rows: list[Row] = self.rows.engine.read(query).to_pylist()
        return rows
