"""The results Job, where a measurement asks for traces in other formats."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.s3 import S3Store


def test_each_agent_has_a_file_of_each_format(
    store: S3Store, of_jobs: dict[str, str], tmp_path: Path
) -> None:
    """In a folder of the format, compressed; the summary tells of them."""
    run = JobRun(store, tmp_path, "written", of_jobs, outputs=("warts", "scamperJson"))
    run.start()
    for agent in AGENTS:
        run.begin(agent)
        run.probe(agent, FIRST)
        assert run.conclude(agent, FIRST) == 0
    assert run.do("results", *AGENTS) == 0
    summary = json.loads(store.get(run.keys.summary))
    assert summary["outputs"] == ["scamperJson", "warts"]
    for agent in AGENTS:
        key = f"{run.keys.output('warts')}/{agent}.warts.gz"
        assert gzip.decompress(store.get(key)).startswith(b"\x12\x05")
        key = f"{run.keys.output('scamperJson')}/{agent}.jsonl.gz"
        lines = gzip.decompress(store.get(key)).splitlines()
        assert json.loads(lines[0])["hostname"] == agent
        assert json.loads(lines[1])["type"] == "trace"
