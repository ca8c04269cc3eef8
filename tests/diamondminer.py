"""diamond-miner's own queries, on our replies."""

from __future__ import annotations

import json
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import chdb.session
from diamond_miner.defaults import UNIVERSE_SUBSET
from diamond_miner.queries import (
    CreateTables,
    GetProbesDiff,
    InsertLinks,
    InsertMDAProbes,
    InsertPrefixes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from diamond_miner.queries.query import Query

ID = "ours"


class DiamondMiner:
    """A database of diamond-miner's, with replies from a file of caracal's format.

    Without a file it is empty.
    """

    def __init__(self, replies: Path | None) -> None:
        self._session = chdb.session.Session()  # type: ignore[no-untyped-call]
        self._query("SET allow_suspicious_ttl_expressions = 1")
        for statement in CreateTables().statements(ID):
            self._query(statement)
        if replies:
            rows = f"SELECT * FROM file('{replies}', 'CSVWithNames')"
            self._query(f"INSERT INTO results__{ID} {rows}")

    def _query(self, query: str, output_format: str = "Null") -> list[Any]:
        answer = self._session.query(query, output_format)  # type: ignore[no-untyped-call]
        return [json.loads(line) for line in str(answer).splitlines()]

    def export(self, query: str) -> str:
        """What a query writes, whose format it names itself."""
        return str(self._session.query(query))  # type: ignore[no-untyped-call]

    def run(self, query: Query) -> list[dict[str, Any]]:
        """The rows of a query."""
        rows = []
        for statement in query.statements(ID, UNIVERSE_SUBSET):
            rows += self._query(statement, "JSONEachRow")
        return rows

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of an SQL query."""
        return [tuple(row) for row in self._query(query, "JSONCompactEachRow")]

    def find_links(self) -> None:
        """Fills the tables of prefixes and links."""
        self.run(InsertPrefixes(filter_private=False))
        self.run(InsertLinks(filter_private=False))

    def plan(self, previous_round: int, epsilon: float) -> None:
        """Plans a round as Iris does."""
        self.run(
            InsertMDAProbes(
                adaptive_eps=True,
                round_leq=previous_round,
                filter_partial=True,
                filter_virtual=True,
                filter_inter_round=True,
                target_epsilon=epsilon,
            )
        )

    def read_plan(self, round_: int) -> list[dict[str, Any]]:
        """What a round sends beyond the one before."""
        return self.run(GetProbesDiff(round_eq=round_))


def name_prefix(first: bytes) -> str:
    """A prefix's first address, of 16 bytes, as diamond-miner has it."""
    address = IPv6Address(first)
    return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)
