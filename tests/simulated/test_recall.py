"""How much surveys find, beside what 1,000 runs without packets find on average."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

from anabranch.api import Measurement
from anabranch.cli.score import read_links
from anabranch.local.assignment import assign_all
from anabranch.local.manifest import load_manifests
from anabranch.local.score import Judge
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
RUNS, SEEDS = 1_000, range(5_000, 5_020)
MOST_OUTSIDE = 2


def make_judge(world: World, manifests: Path) -> Judge:
    """Who knows what a survey is to find."""
    loaded = load_manifests([str(manifests)], lambda: sys.stdin.buffer)
    (document,) = loaded.of_kind(Measurement)
    return Judge(world.simulation, list(assign_all(loaded, document)), 256)


@pytest.mark.statistics
def test_recall_lies_in_its_interval(tmp_path: Path) -> None:
    """That of 99 in 100 runs, in all but two of twenty surveys; precision is 1."""
    world = World(32, 16, vantage_points=2)
    recalls = []
    spec: dict[str, Any] = {"points": 2, "failureProbability": 0.5}
    manifests = write_manifests(tmp_path / "any", TARGETS, **spec)
    expected = make_judge(world, manifests).rehearse(range(RUNS))
    for seed in SEEDS:
        tool = {"diamondMiner": {"flowMapperKwargs": {"seed": seed}}}
        manifests = write_manifests(tmp_path / f"{seed}", TARGETS, tool=tool, **spec)
        data = tmp_path / f"{seed}" / "data"
        survey(world, manifests, data)
        judge = make_judge(world, manifests)
        score = judge.judge(read_links(data, judge.assignments))
        assert score.precision == 1
        recalls.append(score.recall)
    outside = sum(not expected.low <= recall <= expected.high for recall in recalls)
    logging.getLogger(__name__).info(
        "recall of %d surveys: %.4f on average, %.4f to %.4f; of %d runs without "
        "packets: %.4f on average, 99 in 100 from %.4f to %.4f; %d outside",
        *(len(recalls), sum(recalls) / len(recalls), min(recalls), max(recalls)),
        *(expected.runs, expected.mean, expected.low, expected.high, outside),
    )
    assert outside <= MOST_OUTSIDE
