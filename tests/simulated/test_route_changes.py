"""What a route change does to links: those that straddle it are marked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from anabranch_engine import Simulation

from anabranch.cli.score import read_links
from onesurvey import judge
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.local.score import Score

log = logging.getLogger(__name__)
SEEDS = range(1, 11)
PREFIXES = 400


def run_survey(
    prefixes: int, seed: int, switches: dict[str, float], folder: Path
) -> tuple[Score, Score]:
    """The scores of a survey, and of what it would be with suspect links."""
    world = World(prefixes, 0, seed=seed, switches=switches)
    targets = [f"240.{n >> 8}.{n & 255}.0/24,udp,1,32,6" for n in range(prefixes)]
    agent: dict[str, Any] = {"maxProbingRate": 5_000}
    manifests = write_manifests(folder, targets, agent=agent)
    data = folder / "data"
    survey(world, manifests, data)
    its = judge(world, manifests)
    believed = read_links(data, its.assignments)
    every = read_links(data, its.assignments, suspect=True)
    return its.judge(believed), its.judge(every)


def test_links_across_a_route_change_are_marked(tmp_path: Path) -> None:
    """And hardly any other, whenever it comes."""
    believed, every = run_survey(100, 1, {"route-change": 3.0}, tmp_path)
    assert believed.precision >= max(0.995, every.precision)
    assert believed.recall >= every.recall - 0.02


@pytest.mark.statistics
def test_links_are_there_where_everything_is_hostile(tmp_path: Path) -> None:
    """999 in 1,000, and one in 50 is lost by that at most; of ten Internets."""
    hostile = {name: value for name, _, _, value in Simulation.switches()}
    # At other times of the survey, however long it takes to start.
    scores = [
        run_survey(
            PREFIXES,
            seed,
            hostile | {"route-change": 20.0 + 2 * seed},
            tmp_path / f"{seed}",
        )
        for seed in SEEDS
    ]
    for seed, (believed, every) in zip(SEEDS, scores, strict=True):
        log.info(
            "seed %d: precision %.4f instead of %.4f, recall %.4f instead of %.4f",
            *(seed, believed.precision, every.precision),
            *(believed.recall, every.recall),
        )
    found = sum(believed.found for believed, _ in scores)
    assert sum(believed.real for believed, _ in scores) >= 0.999 * found
    lost = [every.recall - believed.recall for believed, every in scores]
    assert sum(lost) / len(lost) <= 0.02
