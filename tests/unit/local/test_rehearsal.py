"""What runs that trace their targets find without packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onesurvey import judge
from surveying import write_manifests
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from anabranch.local.score import Expectation

TARGETS = [
    "240.0.0.0/19,udp,1,32,1",
    "240.0.32.0/20,icmp,2,32,1",
    "3fff::/60,tcpSyn,1,32,1",
    "3fff:0:0:10::/60,icmp6,1,32,1",
]
"""48 /24s and 32 /64s."""
WORLD = World(48, 32, switches=ANSWERING)
RUNS = range(4)


def rehearse(
    folder: Path, algorithm: str = "mdaLite", runs: range = RUNS, **spec: Any
) -> Expectation:
    """What an algorithm finds in some runs."""
    trace = {"prefixLenV4": 24, "prefixLenV6": 64, "algorithm": algorithm}
    tool = {"trace": trace}
    manifests = write_manifests(folder / algorithm, TARGETS, tool=tool, **spec)
    return judge(WORLD, manifests).rehearse(runs)


def test_a_rehearsal_expects_what_the_stopping_points_allow(tmp_path: Path) -> None:
    """Hardly a link is missed; with a high failure probability more, run by run."""
    usual = rehearse(tmp_path)
    hasty = rehearse(tmp_path, failureProbability=0.5)
    assert (usual.runs, hasty.runs) == (len(RUNS), len(RUNS))
    assert hasty.low < hasty.high < 0.97 < usual.low <= usual.high <= 1
    assert hasty.probes < usual.probes


def test_a_single_path_is_expected_to_find_less(tmp_path: Path) -> None:
    """With far fewer probes."""
    one, all_of_them = (rehearse(tmp_path, name) for name in ("singlePath", "mda"))
    assert one.mean < 0.9 * all_of_them.mean
    assert one.probes < 0.3 * all_of_them.probes


def test_the_same_seed_gives_the_same_rehearsal(tmp_path: Path) -> None:
    """Nothing else is left to chance; another seed gives other flows."""
    seeds = (range(7, 8), range(7, 8), range(8, 9))
    one, again, other = (rehearse(tmp_path, runs=each) for each in seeds)
    assert one == again
    assert one.probes != other.probes
