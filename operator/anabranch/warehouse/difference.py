"""What differs between two surveys: what came, what went, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.rounds.stopping import miss_links
from anabranch.warehouse.pieces import PIECE_ROWS

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.engine import Engine
    from anabranch.warehouse.results import Results

UNSURE = 0.05
"""The failure probability above which a link that went may just have been missed."""
WORDS = ("same", "came", "went", "changed")
"""What may have become of an interface, a link or a diamond."""


@dataclass(frozen=True)
class _Comparison:
    """How two tables are compared, for all agents together."""

    keys: tuple[str, ...]
    """The columns that identify a row."""
    values: dict[str, str]
    """The other columns that are compared, with their aggregates over agents or targets
    as SQL."""
    doubt: str = "0"
    """The SQL for whether a row may not exist. If it may be there, it has neither come
    nor gone; if it may be there at best, it is left out."""


TABLES = {
    "interfaces": _Comparison(
        ("addr",), {"min_ttl": "min(min_ttl)", "max_ttl": "max(max_ttl)"}
    ),
    "links": _Comparison(
        ("near_addr", "far_addr"),
        {
            "min_near_ttl": "min(min_near_ttl)",
            "max_near_ttl": "max(max_near_ttl)",
        },
        doubt="is_suspect",
    ),
    "diamonds": _Comparison(
        ("divergence_addr", "convergence_addr"),
        {"max_length": "max(max_length)", "max_width": "max(max_width)"},
    ),
}
"""The tables that can be compared."""


@dataclass(frozen=True)
class Difference:
    """The difference between the results of two surveys.

    Tables go through files in the scratch folder, in pieces that fit into memory.
    """

    before: Results
    after: Results
    scratch: Path
    failure_probability: float
    piece_rows: int = PIECE_ROWS

    @property
    def engine(self) -> Engine:
        """What runs the queries."""
        return self.before.engine

    def select(self, table: str) -> str:
        """Return the SELECT of what differs in a table.

        Raises:
            NothingYetError: If one of the surveys has no data for it yet.
            LookupError: If it is no table that can be compared.
        """
        if table not in TABLES:
            known = ", ".join(TABLES)
            raise LookupError(f"there is no difference of {table!r}, only of {known}")
        rows = f"SELECT * FROM {self._compared(table)} WHERE change != 'same'"
        if table != "links":
            return f"{rows} ORDER BY ALL"
        verdict = (
            "multiIf(change != 'went', NULL, failure_probability <= "
            f"{self.failure_probability}, 'gone', 'unsure')"
        )
        return (
            f"SELECT * FROM (SELECT *, {verdict} AS verdict FROM ({rows}) AS compared "
            f"LEFT JOIN {self._missed} AS missed USING (near_addr, far_addr) "
            "SETTINGS join_use_nulls = 1) ORDER BY ALL"
        )

    def count(self, table: str) -> dict[str, int]:
        """Count what became of the rows of a table; of links, which are gone too."""
        counts = dict.fromkeys(WORDS, 0)
        rows = self.engine.read(
            f"SELECT change, count() AS found FROM {self._compared(table)} "
            "GROUP BY change"
        )
        counts |= {row["change"]: row["found"] for row in rows.to_pylist()}
        if table == "links":
            gone = f"countIf(verdict = 'gone') AS gone FROM ({self.select(table)})"
            (found,) = self.engine.read(f"SELECT {gone}").to_pylist()
            counts |= found
        return counts

    def _compared(self, table: str) -> str:
        """Return the SQL for all rows of either survey, and what became of each."""
        folder = self.scratch / table
        if not folder.exists():
            self._compare(table, folder)
        return f"file('{folder}/*.parquet', 'Parquet')"

    def _compare(self, table: str, folder: Path) -> None:
        how = TABLES[table]
        sides = []
        for name, results in (("before", self.before), ("after", self.after)):
            file = self.scratch / f"{table}-{name}.parquet"
            self.engine.write(results.find(table), file)
            sides.append(f"file('{file}', 'Parquet')")
        keys = ", ".join(how.keys)
        count = sum(self._count(side) for side in sides)
        folder.mkdir()
        for number, piece in enumerate(self._cut(count, keys)):
            query = compare(how, sides[0], sides[1], piece)
            self.engine.write(query, folder / f"{number:05}.parquet")

    @cached_property
    def _missed(self) -> str:
        """The SQL for what the second survey says of links that went."""
        went = (
            f"SELECT {_pack('near_addr')} AS near_addr, "
            f"{_pack('far_addr')} AS far_addr FROM {self._compared('links')} "
            "WHERE change = 'went'"
        )
        file = self.scratch / "went.parquet"
        self.engine.write(went, file)
        links = f"file('{file}', 'Parquet')"
        crossings = find_crossings(self.before, self.after, links)
        folder = self.scratch / "crossings"
        folder.mkdir()
        pieces = self._cut(self._count(crossings), "prefix, protocol")
        for number, piece in enumerate(pieces):
            query = count_crossings(crossings, links, piece)
            self.engine.write(query, folder / f"{number:05}.parquet")
        counts = self.engine.read(
            "SELECT dense_rank() OVER (ORDER BY near_addr, far_addr) - 1 AS link, "
            "near_addr, far_addr, known, sum(flows) AS flows, "
            "sum(targets) AS prefixes, sum(crossed_targets) AS crossed_prefixes "
            f"FROM file('{folder}/*.parquet', 'Parquet') "
            "GROUP BY near_addr, far_addr, known ORDER BY link"
        )
        judged = self.scratch / "missed.parquet"
        pq.write_table(judge(counts), judged)
        return (
            f"(SELECT {_tell('near_addr')} AS near_addr, {_tell('far_addr')} AS "
            "far_addr, prefixes, crossed_prefixes, flows, failure_probability "
            f"FROM file('{judged}', 'Parquet'))"
        )

    def _count(self, rows: str) -> int:
        found = self.engine.read(f"SELECT count() AS found FROM {rows}").to_pylist()
        count: int = found[0]["found"]
        return count

    def _cut(self, rows: int, columns: str) -> list[str]:
        """Return conditions that cut rows into pieces that fit into memory."""
        pieces = max(-(-rows // self.piece_rows), 1)
        return [f"cityHash64({columns}) % {pieces} = {n}" for n in range(pieces)]


def compare(how: _Comparison, before: str, after: str, piece: str) -> str:
    """Return the query for what became of each row of a piece of two tables."""
    keys = ", ".join(how.keys)
    values = ", ".join(f"{value} AS {name}_" for name, value in how.values.items())
    sides = " UNION ALL ".join(
        f"SELECT {keys}, min({how.doubt}) AS doubt, {is_after} AS is_after, {values} "
        f"FROM {rows} WHERE {piece} GROUP BY {keys}"
        for is_after, rows in enumerate((before, after))
    )
    told = ", ".join(
        f"maxOrNullIf({name}_, {when}) AS {name}_{side}"
        for name in how.values
        for side, when in (("before", "NOT is_after"), ("after", "is_after"))
    )
    differ = " OR ".join(f"{name}_before != {name}_after" for name in how.values)
    return (
        f"SELECT {keys}, multiIf(max(is_after) = 0, 'went', min(is_after) = 1, 'came', "
        f"{differ}, 'changed', 'same') AS change, {told} "
        f"FROM ({sides}) GROUP BY {keys} HAVING min(doubt) = 0"
    )


def find_crossings(before: Results, after: Results, went: str) -> str:
    """Return the SQL for each target's links that start where one that went did.

    ``went`` has the near_addr and far_addr of links. The rows have ``is_after``: which
    survey has seen the link.
    """
    near = f"near_addr IN (SELECT near_addr FROM {went})"
    sides = [
        f"SELECT *, {is_after} AS is_after FROM {agent.cross(near)}"
        for is_after, results in enumerate((before, after))
        for agent in results.surveyed
        if "links" in agent.kinds
    ]
    return f"({' UNION ALL '.join(sides)})"


def count_crossings(crossings: str, went: str, piece: str) -> str:
    """Return the query for the flows to the targets where a link was seen before.

    Its rows are of a link that went and of a number of other links from its near end to
    a target, that either survey knows: the number of such targets, of those that the
    second survey saw flows to, and these flows.
    """
    return f"""
        SELECT near_addr, far_addr, known, sum(crossed) AS flows, count() AS targets,
            countIf(crossed > 0) AS crossed_targets
        FROM (
            SELECT prefix, protocol, near_addr, uniqExact(far_addr) - 1 AS known,
                sumIf(flows, is_after) AS crossed,
                groupUniqArrayIf(far_addr, NOT is_after) AS seen
            FROM {crossings} WHERE {piece}
            GROUP BY prefix, protocol, near_addr
        )
        ARRAY JOIN seen AS far_addr
        WHERE (near_addr, far_addr) IN (SELECT near_addr, far_addr FROM {went})
        GROUP BY near_addr, far_addr, known
    """


def judge(counts: pa.Table) -> pa.Table:
    """Return a row for each link, with the probability that it was only missed."""

    def numbers(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        found: np.ndarray[tuple[int], np.dtype[np.int64]] = (
            counts.column(name).to_numpy().astype(np.int64)
        )
        return found

    links = numbers("link")
    _, first = np.unique(links, return_index=True)
    sums = {
        name: np.bincount(links, weights=numbers(name)).astype(np.int64)
        for name in ("prefixes", "crossed_prefixes", "flows")
    }
    missed = miss_links(links, numbers("known"), numbers("flows"))
    ends = {name: counts.column(name).take(first) for name in ("near_addr", "far_addr")}
    return pa.table({**ends, **sums, "failure_probability": missed})


def _pack(column: str) -> str:
    """Return the SQL for the 16 bytes of an address that is text."""
    return f"toFixedString(IPv6StringToNum({column}), 16)"


def _tell(column: str) -> str:
    """Return the SQL for an address as text."""
    text = f"IPv6NumToString(toFixedString({column}, 16))"
    return f"replaceRegexpOne({text}, '^::ffff:', '')"
