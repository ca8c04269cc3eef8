"""The Job that concludes a step, of a step that is not probed to its end, in S3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST
from anabranch.runs.report import REFUSED
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from anabranch.store.s3 import S3Store


def test_a_step_whose_parts_end_early_is_not_concluded(
    store: S3Store,
    of_jobs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither without parts, nor behind a gap; but by a deadline it is."""
    run = JobRun(store, tmp_path, "unfinished", of_jobs)
    run.start()
    agent, other = AGENTS
    run.begin(agent)
    assert run.conclude(agent, FIRST) == REFUSED
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.match(rf"anabranch: agent {agent} .* of blocks 0; see", told)
    run.begin(other)
    run.probe(other, FIRST)
    keys = run.agent_keys(other).step(FIRST)
    _, second = store.list(keys.parts(0))
    content = store.get(second)
    store.remove(keys.parts(0))
    store.put(second, content)
    assert run.conclude(other, FIRST) == REFUSED
    run.go_on(agent, FIRST)
    last = ("--agent", other, "--step", str(FIRST), "--last")
    assert run.do("conclude", *last) == 0
