"""Surveys of simulated worlds, with less waiting for replies than people want."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from anabranch.api import Measurement
from anabranch.local.assignment import assign
from anabranch.local.manifest import load_manifests
from anabranch.local.survey import run_survey
from anabranch.store.directory import DirectoryStore

if TYPE_CHECKING:
    from typing import Any

    from world import World

WAIT_SECONDS = 0.6


def write_manifests(
    folder: Path,
    targets: list[str],
    agents: int = 1,
    tool: dict[str, Any] | None = None,
    agent: dict[str, Any] | None = None,
    **spec: Any,
) -> Path:
    """A survey of the lines of a target list from the first vantage points."""
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        (
            "ProbingPolicy",
            "default",
            {
                "contact": "tests@example.org",
                "allow": ["240.0.0.0/4", "198.18.0.0/15", "3fff::/20"],
                "allowReserved": True,
                "maxRatePerPrefix": 1000,
            },
        ),
        ("TargetList", "list", {"file": "list.csv"}),
        (
            "Measurement",
            "survey",
            {
                **(tool or {"diamondMiner": {}}),
                "agents": [{"name": "all", "selector": {}, "targetList": "list"}],
                **spec,
            },
        ),
    ]
    for number in range(1, agents + 1):
        usual = {
            "nodeName": f"vp{number}",
            "maxProbingRate": 100_000,
            "allowReserved": True,
        }
        kinds.append(("Agent", f"agent{number}", usual | (agent or {})))
    documents = [
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": its,
        }
        for kind, name, its in kinds
    ]
    folder.mkdir(exist_ok=True)
    (folder / "list.csv").write_text("".join(f"{line}\n" for line in targets))
    file = folder / "survey.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


def survey(world: World, manifests: Path, data: Path) -> None:
    """Runs a survey to its end."""
    words = [sys.executable, __file__, str(manifests), str(data)]
    world.run(*words, seconds=300)


def main() -> None:
    """Inside of the simulation: runs the measurements of a file."""
    manifests = load_manifests([sys.argv[1]], lambda: sys.stdin.buffer)
    for document in manifests.of_kind(Measurement):
        report = run_survey(
            list(assign(manifests, document)),
            DirectoryStore(Path(sys.argv[2])),
            lambda _: None,
            threading.Event(),
            WAIT_SECONDS,
        )
        for agent in report.failed:
            raise agent.error or AssertionError


if __name__ == "__main__":
    main()
