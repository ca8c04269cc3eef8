"""A survey of diamonds that are drawn as Vermeulen et al. found them (IMC 2018)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING

import polars as pl
import pytest

import anabranch
from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.statistics

WORLD = World(10_240, 0, switches={"sharing": 0.0, "silent-routers": 0.0})
"""Each destination is behind routers of its own."""
TARGETS = ["240.0.0.0/11,udp,1,32,1", "240.32.0.0/13,udp,1,32,1"]
TOOL = {"trace": {"prefixLenV4": 24, "algorithm": "mda", "aliases": {"rounds": 2}}}
POINTS = ["divergence_addr", "convergence_addr"]
CHANCE = 1e-3
"""The probability that an interval does not hold what it should."""


@dataclass(frozen=True)
class Census:
    """What went in, and what came out."""

    drawn: pl.DataFrame
    """All diamonds that there are, by their points."""
    found: pl.DataFrame
    """The distinct diamonds of the survey, the same columns."""
    changes: pl.DataFrame
    """The measured diamonds: whether addresses of a hop are of one router, and whether
    alias resolution says so."""


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Census:
    """A survey of ten thousand destinations."""
    folder = tmp_path_factory.mktemp("diamonds")
    manifests = write_manifests(folder / "m", TARGETS, tool=TOOL)
    WORLD.run(*command(manifests, folder / "data"), seconds=3_600)
    WORLD.simulation.write_truth(folder)
    return read_census(folder / "data", folder)


def read_census(data: Path, truth: Path) -> Census:
    """Read a survey's diamonds, and the true ones."""
    opened = anabranch.open(data, "survey")
    diamonds, paths = (
        pl.DataFrame(pl.from_arrow(table)) for table in (opened.diamonds, opened.paths)
    )
    router_of = pl.read_parquet(truth / "interfaces.parquet")
    nodes = pl.concat(
        paths.select("prefix", ttl=pl.col("near_ttl") + beyond, address=f"{end}_addr")
        for beyond, end in enumerate(("near", "far"))
    )
    hops = nodes.unique().join(router_of, on="address").group_by("prefix", "ttl")
    merged = hops.agg(is_merged=pl.len() > pl.col("router").n_unique())
    changes = (
        diamonds.join(merged, on="prefix")
        .filter(pl.col("ttl").is_between("divergence_ttl", "convergence_ttl"))
        .group_by(*POINTS, "prefix")
        .agg(
            is_aliased=pl.col("is_merged").any(),
            has_changed=(pl.col("becomes") != "no change").any(),
        )
    )
    sizes = pl.col("max_width").max(), pl.col("max_length").max()
    return Census(
        drawn=pl.read_parquet(truth / "diamonds.parquet"),
        found=diamonds.group_by(POINTS).agg(*sizes),
        changes=changes,
    )


def find_interval(number: int) -> float:
    """How far an empirical distribution may be from the true one.

    By the inequality of Dvoretzky, Kiefer and Wolfowitz, with Massart's constant.
    """
    return sqrt(log(2 / CHANCE) / (2 * number))


def find_share(rows: pl.Series) -> float:
    """The share of rows that are true."""
    return int(rows.sum()) / len(rows)


@pytest.mark.parametrize("metric", ["max_width", "max_length"])
def test_a_survey_finds_the_distributions_that_went_in(
    metric: str, census: Census
) -> None:
    """Nowhere are the two further apart than chance allows."""
    drawn, found = census.drawn[metric], census.found[metric]
    distances = [
        abs(find_share(found <= value) - find_share(drawn <= value))
        for value in sorted(set(drawn) | set(found))
    ]
    interval = find_interval(len(found))
    logging.getLogger(__name__).info(
        "%s: %d diamonds of %d; at most %.4f apart, interval %.4f",
        *(metric, len(found), len(drawn), max(distances), interval),
    )
    assert len(found) > 5_000
    assert max(distances) <= interval


def test_the_simplest_diamonds_have_the_share_that_they_had(census: Census) -> None:
    """Those that are two interfaces wide and two hops long."""
    shares = [
        find_share((some["max_width"] == 2) & (some["max_length"] == 2))
        for some in (census.drawn, census.found)
    ]
    logging.getLogger(__name__).info("simplest: %.4f drawn, %.4f found", *shares)
    assert abs(shares[0] - shares[1]) <= find_interval(len(census.found))


def test_diamonds_become_smaller_if_they_have_aliases(census: Census) -> None:
    """None else, and most of these."""
    changes = census.changes
    aliased = changes.filter("is_aliased")
    wrong = changes.filter(~pl.col("is_aliased") & pl.col("has_changed"))
    logging.getLogger(__name__).info(
        "aliased: %.4f of %d measured diamonds, of which %.4f change; %d others do",
        find_share(changes["is_aliased"]),
        len(changes),
        find_share(aliased["has_changed"]),
        len(wrong),
    )
    assert len(wrong) <= len(aliased) / 500
    assert find_share(aliased["has_changed"]) > 0.7
