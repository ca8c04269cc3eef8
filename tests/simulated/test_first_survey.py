"""A first survey by three commands."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from anabranch.cli.score import read_links
from onesurvey import judge
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ("240.0.0.0/20", "3fff::/60")
COMMANDS = """
set -e
cd $1
$2 init {targets} --contact tests@example.org
# No test waits for a modest rate.
sed --in-place 's/\\(maxRatePerPrefix\\|maxProbingRate\\): .*/\\1: 10000/' survey.yaml
$2 run --dry-run survey.yaml
test ! -e anabranch-data
$2 run survey.yaml
"""


def test_init_a_dry_run_and_a_run_lead_to_the_links(tmp_path: Path) -> None:
    """From this machine, as the README has it; a dry run leaves nothing."""
    world = World(16, 16)
    script = COMMANDS.format(targets=" ".join(TARGETS))
    command = shlex.join([sys.executable, "-m", "anabranch"])
    told = world.run("sh", "-c", script, "sh", str(tmp_path), command)
    assert "first: here would send " in told
    assert " probes to 32 targets" in told
    assert "here: done in round " in told
    its = judge(world, tmp_path / "survey.yaml")
    score = its.judge(read_links(tmp_path / "anabranch-data", its.assignments))
    assert score.precision == 1
    assert score.recall > 0.95
