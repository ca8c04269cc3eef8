"""The Job that concludes a step, in several pods, with a store in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.s3 import S3Store


def test_the_first_pod_of_a_job_concludes_a_step(
    store: S3Store, of_jobs: dict[str, str], tmp_path: Path
) -> None:
    """The others leave it what they found, and do nothing once it is concluded."""
    outcomes = []
    for of in (1, 3):
        run = JobRun(store, tmp_path, f"of-{of}", of_jobs)
        run.start()
        agent = AGENTS[0]
        run.begin(agent)
        run.probe(agent, FIRST)
        for index in reversed(range(of)):
            assert run.read_outcomes(agent) == {}
            assert run.conclude(agent, FIRST, index, of) == 0
            keys = run.agent_keys(agent).step(FIRST)
            assert list(store.list(f"{keys.root}/links"))
        outcomes.append(run.read_outcomes(agent))
        there = list(store.list(keys.root))
        assert run.conclude(agent, FIRST, of - 1, of) == 0
        assert list(store.list(keys.root)) == there
    assert outcomes[0] == outcomes[1]
