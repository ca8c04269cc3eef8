"""Surveys of simulated worlds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from world import World

ONCE_IT_PROBES = (
    'until awk \'/eth0:/ { sub(":", " "); exit $11 < 500 } END { }\' /proc/net/dev; '
    "do sleep 0.1; done"
)
"""Waits, in a shell, until so many packets were sent: a start may take seconds."""
KILLER = """
import pathlib, random, subprocess, sys, time
sent = pathlib.Path("/sys/class/net/eth0/statistics/tx_packets")
chance, command = random.Random(5), sys.argv[1:]
for _ in range(5):
    before = int(sent.read_text())
    survey = subprocess.Popen(command)
    while survey.poll() is None and int(sent.read_text()) < before + 50:
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 1.5))
    survey.kill()
    survey.wait()
subprocess.run(command, check=True)
"""
"""Starts a survey again and again, and kills each but the last once it probes, or is
about to make something of the replies."""


POLICY = {
    "contact": "tests@example.org",
    "allow": ["240.0.0.0/4", "198.18.0.0/15", "3fff::/20"],
    "allowReserved": True,
    "maxRatePerPrefix": 1000,
}
"""A policy that lets simulated worlds be probed, and nothing else."""


def write_kinds(file: Path, kinds: list[tuple[str, str, dict[str, Any]]]) -> Path:
    """A manifest of objects, each by its kind, name and spec, and of the policy."""
    documents = [
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        for kind, name, spec in [("ProbingPolicy", "default", POLICY), *kinds]
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(documents))
    return file


def write_manifests(
    folder: Path,
    targets: list[str],
    points: int = 1,
    tool: dict[str, Any] | None = None,
    agent: dict[str, Any] | None = None,
    **spec: Any,
) -> Path:
    """A survey of the lines of a target list from the first so many vantage points."""
    everyone = {"name": "all", "selector": {}, "targetList": "list"}
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("TargetList", "list", {"file": "list.csv"}),
        (
            "Measurement",
            "survey",
            {
                **(tool or {"diamondMiner": {}}),
                "agents": [everyone],
                **spec,
            },
        ),
    ]
    for number in range(1, points + 1):
        usual = {
            "nodeName": f"vp{number}",
            "maxProbingRate": 100_000,
            "waitSeconds": 1,
            "allowReserved": True,
        }
        kinds.append(("Agent", f"agent{number}", usual | (agent or {})))
    file = write_kinds(folder / "survey.yaml", kinds)
    (folder / "list.csv").write_text("".join(f"{line}\n" for line in targets))
    return file


def command(manifests: Path, data: Path, *options: str) -> list[str]:
    """What runs a survey."""
    words = [sys.executable, "-m", "anabranch", "run", str(manifests)]
    return [*words, "--data", str(data), *options]


def survey(world: World, manifests: Path, data: Path) -> None:
    """Runs a survey to its end."""
    world.run(*command(manifests, data))
