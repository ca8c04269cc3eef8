"""How often Diamond-Miner's rules miss something, beside what they allow."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from anabranch_engine import Plan, Simulation, TargetList

from anabranch.api.tool import DiamondMiner
from anabranch.local.rehearsal import rehearse
from anabranch.rounds.outcome import Rules
from topologies import prediction_interval

if TYPE_CHECKING:
    from anabranch.api.tool import DiamondMinerRule

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
EXAMPLES = Path(__file__).parents[3] / "examples" / "topologies"
REAL = [(EXAMPLES / f"{name}.txt").read_text() for name in ("asymmetric", "meshed")]
NAMES = ["symmetric", "wide-branch", "asymmetric", "meshed"]


def count_misses(
    graph: str,
    failure_probability: float,
    folder: Path,
    rule: DiamondMinerRule = "lite",
) -> int:
    """Surveys that do not find all links between routers."""
    file = folder / "graph.txt"
    file.write_text(graph)
    destination = graph.rsplit(maxsplit=1)[-1]
    lines = f"{destination}/32,udp,1,32,6\n"
    listed = TargetList.read(io.BytesIO(lines.encode()))
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
    tool = DiamondMiner(rule=rule)
    rules = Rules(tool, 20, failure_probability, 1, 255, drop_private=False)
    misses = 0
    ends = [line.split()[:2] for line in graph.splitlines() if line[0] != "#"]
    # The link to the destination does not count: it says that it is reached.
    links = sum(near != "127.0.0.1" and far != destination for near, far in ends)
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
    """As often as ``docs/rules.md`` says."""
    expected = prediction_interval(SURVEYS, share, 0.999)
    assert count_misses(ASYMMETRIC, probability, tmp_path) in expected


@pytest.mark.statistics
@pytest.mark.parametrize("probability", [0.05, 0.01])
@pytest.mark.parametrize("graph", [SYMMETRIC, ASYMMETRIC, *REAL], ids=NAMES)
def test_full_keeps_its_promise_on_any_graph(
    graph: str, probability: float, tmp_path: Path
) -> None:
    """Of those drawn above, and of real ones."""
    allowed = prediction_interval(SURVEYS, probability, 0.999)
    assert count_misses(graph, probability, tmp_path, "full") < allowed.stop
