"""Cycles of a Survey from one machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path


def test_cycles_run_one_after_another(tmp_path: Path) -> None:
    """Each has its number, its record, its end, and results of its own."""
    manifests = write_manifests(
        tmp_path / "manifests", ["240.0.0.0/22,udp,1,32,1"], tool={"yarrp": {}}
    )
    documents = list(yaml.safe_load_all(manifests.read_text()))
    for document in documents:
        if document["kind"] == "Measurement":
            document["kind"] = "Survey"
            template = {"spec": document["spec"]}
            document["spec"] = {"continuous": True, "measurementTemplate": template}
    manifests.write_text(yaml.safe_dump_all(documents))
    world, data = World(8, 0), tmp_path / "data"
    told = world.run(*command(manifests, data, "--cycles", "2"))
    assert "survey-000001: " in told
    told = world.run(*command(manifests, data))
    assert "survey-000003: " in told
    folder = data / "cycles" / "default.survey"
    for number in (1, 2, 3):
        record = json.loads((folder / f"{number:06}.json").read_text())
        assert record["measurement"] == f"survey-{number:06}"
        end = json.loads((folder / f"{number:06}" / "end.json").read_text())
        assert end["succeeded"]
        assert end["started"] == record["scheduled"]
        runs = data / "agents" / "agent1" / f"default.survey-{number:06}"
        assert (runs / "1" / "run.json").exists()
    told = world.run(*command(manifests, data, "--dry-run"))
    assert "survey-000004: agent1 would send" in told
    assert not (folder / "000004.json").exists()
