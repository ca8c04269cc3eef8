"""A survey of one agent, beside what its rule finds in process."""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from anabranch.api import Measurement
from anabranch.local.assignment import assign_all
from anabranch.local.manifest import load_manifests
from anabranch.local.score import Judge
from anabranch.warehouse.survey import open_survey
from surveying import command

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.keys import RunKeys
    from world import World

TARGETS = [
    "240.0.0.0/18,udp,1,32,6",
    "240.0.64.0/19,icmp,1,32,6",
    "3fff::/59,udp,1,32,6",
    "3fff:0:0:20::/60,icmp6,1,32,6",
]
"""96 /24s and 48 /64s."""


def open_run(data: Path) -> RunKeys:
    """The run of the only agent."""
    (run,) = open_survey(data, "survey").runs
    return run


def write_table(data: Path, table: str, output_format: str, file: Path) -> None:
    """Writes a table of the results of all agents."""
    open_survey(data, "survey").write(table, output_format, file)


def read_links(data: Path, file: Path) -> set[tuple[str, str]]:
    """The near and far address of all links that were found, without suspect ones."""
    write_table(data, "links", "csv", file)
    with file.open(newline="") as rows:
        return {
            (row["near_addr"], row["far_addr"])
            for row in csv.DictReader(rows)
            if row["is_suspect"] == "0"
        }


def judge(world: World, manifests: Path, flows: int = 256) -> Judge:
    """Who knows what a survey was to find."""
    loaded = load_manifests([str(manifests)], lambda: sys.stdin.buffer)
    (document,) = loaded.of_kind(Measurement)
    return Judge(world.simulation, list(assign_all(loaded, document)), flows)


def rehearse(world: World, manifests: Path, folder: Path) -> set[tuple[int, int]]:
    """The links that the first agent finds in process."""
    its = judge(world, manifests)
    return its.rehearse_one(its.assignments[0], folder).links


def run_command(
    world: World, manifests: Path, data: Path, before: str = "true", *options: str
) -> tuple[int, str, str]:
    """`anabranch run` in a simulation: its exit code, output and last error."""
    words = command(manifests, data, *options)
    done = subprocess.run(
        [*world.command, "sh", "-c", f"{before} && exec {shlex.join(words)}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    errors = [
        line for line in done.stderr.splitlines() if line.startswith("anabranch:")
    ]
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, "\n".join(errors)
