"""The statistics of diamonds, beside plain Python that counts the same."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from math import ceil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.warehouse.diamonds import (
    METRICS,
    DiamondStatistics,
    open_statistics,
)
from anabranch.warehouse.embedded import EmbeddedEngine, open_embedded

if TYPE_CHECKING:
    from pathlib import Path

TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("agent", "prefix"), pa.string()),
    "protocol": pa.uint8(),
    "divergence_ttl": pa.uint8(),
    "divergence_addr": pa.string(),
    "convergence_ttl": pa.uint8(),
    "convergence_addr": pa.string(),
    "max_length": pa.uint8(),
    **dict.fromkeys(("max_width", "width_asymmetry"), pa.uint32()),
    **dict.fromkeys(("meshed_ratio", "probability_difference"), pa.float64()),
}
SCHEMA = pa.schema(list(TYPES.items()))
Diamond = dict[str, Any]


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    """An engine in this process."""
    return open_embedded()


def meet(chance: random.Random, number: int) -> Diamond:
    """A diamond between two of a few points, of which some metrics may be null."""
    length = chance.randint(2, 6)
    meshed = chance.randint(0, length - 1)
    diamond = {
        "agent": chance.choice(["paris", "tokyo"]),
        "prefix": f"240.0.{number}.0/24",
        "protocol": 17,
        "divergence_ttl": 3,
        "divergence_addr": f"10.0.0.{chance.randint(1, 4)}",
        "convergence_ttl": 3 + length,
        "convergence_addr": f"10.0.1.{chance.randint(1, 4)}",
        "max_length": length,
        "max_width": chance.choice([2, 2, 3, 48, 56]),
        "width_asymmetry": chance.choice([0, 0, 3]),
        "meshed_ratio": meshed / length,
        "probability_difference": chance.choice([0, 1 / 3, 0.25, 0.1 + 0.2]),
    }
    if chance.random() < 0.2:
        diamond |= dict.fromkeys(METRICS[2:])
    return diamond


@pytest.fixture(scope="module")
def met() -> list[Diamond]:
    """Two hundred diamonds, of which there are sixteen at most."""
    chance = random.Random(1)  # noqa: S311 (the same each time)
    return [meet(chance, number) for number in range(200)]


def read(
    met: list[Diamond], engine: EmbeddedEngine, folder: Path, piece_rows: int
) -> DiamondStatistics:
    """The statistics of the table of diamonds."""
    file = folder / "diamonds.parquet"
    pq.write_table(pa.Table.from_pylist(met, schema=SCHEMA), file)
    (scratch := folder / "scratch").mkdir()
    query = f"SELECT * FROM file('{file}', 'Parquet')"
    return open_statistics(query, engine, scratch, piece_rows)


@pytest.fixture(params=[7, 1 << 20], ids=["in pieces", "at once"])
def statistics(
    request: pytest.FixtureRequest,
    met: list[Diamond],
    engine: EmbeddedEngine,
    tmp_path: Path,
) -> DiamondStatistics:
    """The statistics of all of them."""
    return read(met, engine, tmp_path, request.param)


def merge(met: list[Diamond]) -> list[Diamond]:
    """Distinct diamonds, each metric the largest known."""
    groups: dict[tuple[str, str], list[Diamond]] = defaultdict(list)
    for diamond in met:
        groups[diamond["divergence_addr"], diamond["convergence_addr"]].append(diamond)

    def largest(group: list[Diamond], name: str) -> float | None:
        known = [each[name] for each in group if each[name] is not None]
        return max(known, default=None)

    return [
        {name: largest(group, name) for name in METRICS} | {"encounters": len(group)}
        for group in groups.values()
    ]


def count(diamonds: list[Diamond], metric: str) -> dict[float, int]:
    """How many have each value, where it is known; shares in hundredths."""
    known = (each[metric] for each in diamonds if each[metric] is not None)
    if metric in METRICS[3:]:
        known = (ceil(round(value * 100, 6)) / 100 for value in known)
    return dict(Counter(known))


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_distributed_as_the_diamonds_say(
    metric: str, met: list[Diamond], statistics: DiamondStatistics
) -> None:
    """Measured and distinct, with shares of those whose metric is known."""
    rows = statistics.distribute()
    for counted, diamonds in (("measured", met), ("distinct", merge(met))):
        found = [
            row for row in rows if (row["counted"], row["metric"]) == (counted, metric)
        ]
        expected = count(diamonds, metric)
        assert {row["value"]: row["diamonds"] for row in found} == expected
        assert [row["value"] for row in found] == sorted(expected)
        total, up_to = sum(expected.values()), 0
        for row in found:
            up_to += row["diamonds"]
            assert row["share"] == pytest.approx(row["diamonds"] / total)
            assert row["cumulative_share"] == pytest.approx(up_to / total)


def test_lengths_and_widths_are_paired(
    met: list[Diamond], statistics: DiamondStatistics
) -> None:
    """Their shares are of all measured, or of all distinct diamonds."""
    rows = statistics.pair_sizes()
    for counted, diamonds in (("measured", met), ("distinct", merge(met))):
        found = {
            (row["max_length"], row["max_width"]): row
            for row in rows
            if row["counted"] == counted
        }
        pairs = Counter((each["max_length"], each["max_width"]) for each in diamonds)
        assert {pair: row["diamonds"] for pair, row in found.items()} == pairs
        assert sum(row["share"] for row in found.values()) == pytest.approx(1)


def test_kinds_of_diamonds_are_counted_and_the_first_are_ranked(
    met: list[Diamond], statistics: DiamondStatistics
) -> None:
    """An encounter that is named is one of the widest."""
    kinds = statistics.sum_up()
    for counted, diamonds in (("measured", met), ("distinct", merge(met))):
        whole = [each for each in diamonds if each["width_asymmetry"] is not None]
        asymmetric = [each for each in whole if each["width_asymmetry"]]
        assert kinds[counted] == {
            "diamonds": len(diamonds),
            "whole": len(whole),
            "simplest": sum(
                (each["max_width"], each["max_length"]) == (2, 2) for each in diamonds
            ),
            "asymmetric": len(asymmetric),
            "meshed": sum(each["meshed_ratio"] > 0 for each in whole),
            "lopsided": sum(each["meshed_ratio"] == 0 for each in asymmetric),
        }
    widest = statistics.rank("max_width", 3)
    assert [row["max_width"] for row in widest] == [56, 56, 56]
    places = [
        tuple(each[name] for name in ("agent", "prefix", "max_width")) for each in met
    ]
    for row in widest:
        assert (row["agent"], row["prefix"], row["max_width"]) in places
    commonest = statistics.rank("encounters", 3)
    expected = sorted((each["encounters"] for each in merge(met)), reverse=True)
    assert [row["encounters"] for row in commonest] == expected[:3]


def test_without_diamonds_all_counts_are_0(
    tmp_path: Path, engine: EmbeddedEngine
) -> None:
    """And distributions have no rows."""
    statistics = read([], engine, tmp_path, 7)
    assert statistics.distribute() == statistics.pair_sizes() == []
    kinds = statistics.sum_up()
    assert set(kinds["measured"].values()) == set(kinds["distinct"].values()) == {0}
