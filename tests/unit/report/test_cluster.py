"""Reports of a cluster's runs, from a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anabranch.cli import main
from anabranch.rounds.steps import FIRST
from anabranch.store.environment import ENDPOINT
from anabranch.store.s3 import S3Store
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.s3 import S3


@pytest.fixture
def store(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A bucket of the test's own, that the environment tells of."""
    monkeypatch.setenv(ENDPOINT, s3.url)
    monkeypatch.setenv("ANABRANCH_STORE_BUCKET", s3.bucket)
    return S3Store(s3.bucket, endpoint_url=s3.url)


def test_a_run_is_reported_before_it_is_over_and_after(
    store: S3Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent may not have begun; the Job that stores tables stores the same page."""
    run = JobRun(store, tmp_path, "uid-1", outputs=("report",))
    run.start()
    file = tmp_path / "report.html"
    words = ["report", "survey", "--data", f"s3://{store.bucket}"]
    words += ["--output", str(file)]
    assert main(words) == 1
    assert "there are no replies yet" in capsys.readouterr().err
    run.begin(AGENTS[0])
    run.go_on(AGENTS[0], FIRST)
    assert main(words) == 0
    half = file.read_text()
    assert "not begun" in half
    assert "It is not over: 1 agent of 2" in half
    run.begin(AGENTS[1])
    run.go_on(AGENTS[1], FIRST)
    assert main(words) == 0
    unstored = file.read_text()
    assert "It is not over" not in unstored
    assert run.do("results", *AGENTS) == 0
    assert main(words) == 0
    assert file.read_text() == unstored
    assert store.get(run.keys.report).decode() == unstored
