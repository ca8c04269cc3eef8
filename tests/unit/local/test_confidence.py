"""How often Diamond-Miner's stopping rule misses something, beside what it allows."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
from anabranch_engine import Plan, Simulation, TargetList

from anabranch.api.tool import DiamondMiner
from anabranch.local.rehearsal import rehearse
from anabranch.rounds.outcome import Rules
from topologies import prediction_interval

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
SURVEYS = 600
SYMMETRIC = """127.0.0.1 240.1.0.1
240.1.0.1 240.1.1.1
240.1.0.1 240.1.1.2
240.1.1.1 240.1.2.1
240.1.1.2 240.1.2.1
240.1.2.1 240.9.9.9
"""
ASYMMETRIC = """127.0.0.1 240.1.0.1
240.1.0.1 240.1.1.1
240.1.0.1 240.1.1.2
240.1.1.1 240.1.2.1
240.1.1.1 240.1.2.2
240.1.1.1 240.1.2.3
240.1.1.2 240.1.2.4
240.1.2.1 240.1.3.1
240.1.2.2 240.1.3.1
240.1.2.3 240.1.3.1
240.1.2.4 240.1.3.1
240.1.3.1 240.9.9.9
"""
"""One branch of two is wide."""


def count_misses(graph: str, failure_probability: float, folder: Path) -> int:
    """Surveys that do not find all links between routers."""
    file = folder / "graph.txt"
    file.write_text(graph)
    listed = TargetList.read(io.BytesIO(b"240.9.9.9/32,udp,1,8,6\n"))
    targets = Plan.write(
        folder / "targets.parquet",
        listed.split(32, 128, forbidden=[]),
        initial_source_port=24_000,
        destination_port=33_434,
        flow_mapper="RandomFlowMapper",
        seed=42,
        order_seed=1,
        blocks=1,
    )
    rules = Rules(DiamondMiner(), 20, failure_probability, 1, 255, drop_private=False)
    misses = 0
    # The link to the destination does not count: it says that it is reached.
    links = len(graph.splitlines()) - 2
    for seed in range(SURVEYS):
        world = Simulation(
            prefixes_v4=0,
            prefixes_v6=0,
            vantage_points=1,
            seed=seed,
            switches={},
            topologies=[file],
        )
        found, _ = rehearse(world, 0, targets, rules, folder)
        misses += len(found) < links
    log.info("%g: %d of %d surveys miss a link", failure_probability, misses, SURVEYS)
    return misses


@pytest.mark.statistics
@pytest.mark.parametrize("probability", [0.05, 0.01])
def test_a_diamond_is_missed_as_often_as_the_rule_allows(
    probability: float, tmp_path: Path
) -> None:
    """Where all load balancers of a hop are alike, as the rule takes them to be."""
    allowed = prediction_interval(SURVEYS, probability, 0.999)
    assert count_misses(SYMMETRIC, probability, tmp_path) < allowed.stop


@pytest.mark.statistics
@pytest.mark.parametrize(("probability", "share"), [(0.05, 0.105), (0.01, 0.048)])
def test_a_wide_branch_of_two_is_missed_more_often(
    probability: float, share: float, tmp_path: Path
) -> None:
    """As often as ``docs/benchmarks.md`` says."""
    expected = prediction_interval(SURVEYS, share, 0.999)
    assert count_misses(ASYMMETRIC, probability, tmp_path) in expected
