"""The statistics of a survey's diamonds.

Diamonds are counted in two ways, as by Vermeulen et al., "Multilevel MDA-Lite Paris
Traceroute" (IMC 2018), section 5.1. Each diamond that an agent met on the way to a
target is *measured*. All with the same divergence and convergence point are one
*distinct* diamond; each of its metrics is the largest of those that are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.engine import Engine

METRICS = (
    *("max_width", "max_length", "width_asymmetry"),
    *("probability_difference", "meshed_ratio"),
)
"""What is measured of a diamond; the last three may be null."""
_SHARES = {"probability_difference", "meshed_ratio"}
"""The metrics that are rounded up to hundredths, so that their values are few."""
_POINTS = "divergence_addr, convergence_addr"
_PIECE_ROWS = 1 << 22
"""The most diamonds that are merged at once; ClickHouse takes up to a kilobyte of
memory for each."""


def merge_encounters(diamonds: str) -> str:
    """Return the query for distinct diamonds, with one of the widest encounters.

    ``diamonds`` is the query for the table of diamonds. Columns are the two points, the
    metrics, ``encounters`` (how many diamonds were measured), and ``agent``,
    ``prefix``, ``protocol``, ``divergence_ttl`` and ``convergence_ttl`` of one.
    """
    largest = ", ".join(f"max(met.{name}) AS {name}" for name in METRICS)
    place = ("agent", "prefix", "protocol", "divergence_ttl", "convergence_ttl")
    names = ", ".join(f"met.{name}" for name in place)
    told = ", ".join(
        f"example.{number} AS {name}" for number, name in enumerate(place, 3)
    )
    return (
        f"SELECT {_POINTS}, {', '.join(METRICS)}, encounters, {told} FROM ("
        f"SELECT {_POINTS}, {largest}, count() AS encounters, "
        f"max((met.max_width, met.max_length, {names})) AS example "
        f"FROM ({diamonds}) AS met GROUP BY {_POINTS})"
    )


def count_shapes(measured: str, distinct: str) -> str:
    """Return the query for how many diamonds have the same metrics.

    ``counted`` is measured or distinct. There are few rows, however many diamonds there
    are.
    """
    columns = ", ".join(
        f"ceil(round(found.{name} * 100, 6)) / 100 AS {name}"
        if name in _SHARES
        else f"found.{name} AS {name}"
        for name in METRICS
    )
    both = " UNION ALL ".join(
        f"SELECT '{counted}' AS counted, {columns} FROM ({rows}) AS found"
        for counted, rows in (("measured", measured), ("distinct", distinct))
    )
    return (
        f"SELECT counted, {', '.join(METRICS)}, count() AS diamonds FROM ({both}) "
        "GROUP BY ALL"
    )


def distribute(shapes: str) -> str:
    """Return the query for the distribution of each metric, where it is known.

    A row has a value, the diamonds that have it, their share, and the share of those
    with this value at most.
    """
    values = ", ".join(
        f"('{name}', CAST({name} AS Nullable(Float64)))" for name in METRICS
    )
    all_of_it = "sum(found) OVER (PARTITION BY counted, metric)"
    up_to_it = "sum(found) OVER (PARTITION BY counted, metric ORDER BY value)"
    return (
        f"SELECT counted, metric, value, found AS diamonds, "
        f"found / {all_of_it} AS share, {up_to_it} / {all_of_it} AS cumulative_share "
        "FROM (SELECT counted, known.1 AS metric, assumeNotNull(known.2) AS value, "
        f"sum(diamonds) AS found FROM ({shapes}) ARRAY JOIN [{values}] AS known "
        "WHERE known.2 IS NOT NULL GROUP BY ALL) ORDER BY counted, metric, value"
    )


def pair_sizes(shapes: str) -> str:
    """Return the query for the joint distribution of max length and max width."""
    return (
        "SELECT counted, max_length, max_width, found AS diamonds, "
        "found / sum(found) OVER (PARTITION BY counted) AS share "
        "FROM (SELECT counted, max_length, max_width, sum(diamonds) AS found "
        f"FROM ({shapes}) GROUP BY ALL) ORDER BY counted, max_length, max_width"
    )


DISTRIBUTIONS = {"diamond_distributions": distribute, "diamond_sizes": pair_sizes}
"""The tables of distributions, by name: each is made of shapes."""
ROUTER_DISTRIBUTIONS = {f"router_{name}": made for name, made in DISTRIBUTIONS.items()}
"""The same of diamonds between routers."""


@dataclass(frozen=True)
class DiamondStatistics:
    """Answers to several questions about diamonds, which are read only once."""

    engine: Engine
    distinct: str
    """The query for distinct diamonds."""
    shapes: str
    """The query for how many diamonds have the same metrics."""

    def distribute(self) -> list[dict[str, Any]]:
        """Return the rows of the table ``diamond_distributions``."""
        return self._read(distribute(self.shapes))

    def pair_sizes(self) -> list[dict[str, Any]]:
        """Return the rows of the table ``diamond_sizes``."""
        return self._read(pair_sizes(self.shapes))

    def sum_up(self) -> dict[str, dict[str, int]]:
        """Count diamonds of some kinds: of measured and of distinct ones.

        ``whole`` are those of which all metrics are known.
        """
        kinds = {
            "diamonds": "1",
            "whole": "width_asymmetry IS NOT NULL",
            "simplest": "max_width = 2 AND max_length = 2",
            "asymmetric": "width_asymmetry > 0",
            "meshed": "meshed_ratio > 0",
            "lopsided": "width_asymmetry > 0 AND meshed_ratio = 0",
        }
        sums = ", ".join(
            f"sumIf(rows.diamonds, {condition}) AS {name}"
            for name, condition in kinds.items()
        )
        rows = self._read(
            f"SELECT counted, {sums} FROM ({self.shapes}) AS rows GROUP BY counted"
        )
        found = {row.pop("counted"): row for row in rows}
        none = dict.fromkeys(kinds, 0)
        return {counted: found.get(counted, none) for counted in _COUNTED}

    def rank(self, order: str, count: int) -> list[dict[str, Any]]:
        """Return the first distinct diamonds by a column, from its highest value on."""
        return self._read(
            f"SELECT * FROM ({self.distinct}) ORDER BY {order} DESC, max_width DESC, "
            f"encounters DESC, {_POINTS} LIMIT {count}"
        )

    def _read(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.engine.read(query).to_pylist()
        return rows


def open_statistics(
    diamonds: str, engine: Engine, scratch: Path, piece_rows: int = _PIECE_ROWS
) -> DiamondStatistics:
    """Read a survey's diamonds once, into files of a folder that is there for it.

    ``diamonds`` is the query for a table of diamonds, whose points are addresses. They
    are merged in pieces that fit into memory, however many there are.
    """
    measured = scratch / "measured.parquet"
    engine.write(diamonds, measured)
    rows = f"SELECT * FROM file('{measured}', 'Parquet')"
    pieces = -(-pq.read_metadata(measured).num_rows // piece_rows) or 1
    for number in range(pieces):
        condition = f"cityHash64({_POINTS}) % {pieces} = {number}"
        file = scratch / f"distinct-{number:05}.parquet"
        engine.write(merge_encounters(f"{rows} WHERE {condition}"), file)
    distinct = f"SELECT * FROM file('{scratch}/distinct-*.parquet', 'Parquet')"
    shapes = scratch / "shapes.parquet"
    engine.write(count_shapes(rows, distinct), shapes)
    measured.unlink()
    return DiamondStatistics(
        engine, distinct, f"SELECT * FROM file('{shapes}', 'Parquet')"
    )


_COUNTED = ("measured", "distinct")
"""How diamonds are counted."""
