"""A Job that meets an object that can't be used, in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anabranch.rounds.steps import FIRST
from anabranch.runs.report import REFUSED
from anabranch.warehouse.damage import check_whole
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.s3 import S3Store


@pytest.mark.parametrize("content", [b"", b"no part at all"], ids=["empty", "other"])
def test_a_job_names_the_object_and_is_not_tried_again(
    content: bytes,
    store: S3Store,
    of_jobs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the remedy, in the line that becomes the Job's message."""
    run = JobRun(store, tmp_path, f"damaged{len(content)}", of_jobs)
    run.start()
    agent = AGENTS[0]
    run.begin(agent)
    part = f"{run.agent_keys(agent).step(FIRST).parts(0)}/{0:016}.parquet"
    store.put(part, content)
    run.probe(agent, FIRST)
    assert run.conclude(agent, FIRST) == REFUSED
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"anabranch: {part} is ")
    assert "put a whole copy of it back" in told


def test_parts_that_come_after_a_step_was_concluded_are_no_damage(
    store: S3Store, of_jobs: dict[str, str], tmp_path: Path
) -> None:
    """Nothing was made of them, and nothing is missing."""
    run = JobRun(store, tmp_path, "late", of_jobs)
    run.start()
    agent = AGENTS[0]
    run.begin(agent)
    run.probe(agent, FIRST)
    assert run.conclude(agent, FIRST) == 0
    keys = run.agent_keys(agent).step(FIRST)
    check_whole(store, [run.agent_keys(agent)])
    part = next(key for key in store.list(keys.replies) if key.endswith(".parquet"))
    store.put(f"{keys.parts(9)}/{0:016}.parquet", store.get(part))
    check_whole(store, [run.agent_keys(agent)])
