"""Surveys from Python: tables of a cluster's runs in a bucket."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Literal
from unittest.mock import patch

import pytest

import anabranch
from anabranch.jobs.removal import remove_run
from anabranch.rounds.steps import FIRST
from anabranch.runs.removal import RemovedError, note_removal
from anabranch.runs.stock import take_stock
from anabranch.store.environment import ENDPOINT
from anabranch.store.s3 import S3Store
from anabranch.warehouse.agentresults import AgentResults
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.s3 import S3

STORED = ("interfaces", "links", "diamonds")


@pytest.fixture
def store(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A bucket of the test's own, that the environment tells of."""
    monkeypatch.setenv(ENDPOINT, s3.url)
    monkeypatch.setenv("ANABRANCH_STORE_BUCKET", s3.bucket)
    return S3Store(s3.bucket, endpoint_url=s3.url)


def test_a_clusters_run_is_found_by_its_name_while_it_goes_on_and_when_it_is_over(
    store: S3Store, tmp_path: Path
) -> None:
    """Tables that a Job has stored are taken as they are."""
    run = JobRun(store, tmp_path, "uid-1")
    run.start()
    survey = anabranch.open(f"s3://{store.bucket}", "survey")
    assert survey.agents == list(AGENTS)
    assert survey.run_id == "1"
    with pytest.raises(LookupError, match="there are no links yet"):
        survey.read("links")
    for agent in AGENTS:
        run.begin(agent)
        run.go_on(agent, FIRST)
    found = {table: survey.read(table).sort_by(_order(table)) for table in STORED}
    assert run.do("results", *AGENTS) == 0
    with patch.object(AgentResults, "select", side_effect=AssertionError):
        for table in STORED:
            assert survey.read(table).sort_by(_order(table)) == found[table]
            with survey.stream(table) as batches:
                assert batches.read_all().sort_by(_order(table)) == found[table]
    assert set(survey.links["agent"].to_pylist()) == set(AGENTS)
    assert survey.replies.num_rows == sum(len(run.read_replies(a)) for a in AGENTS)


def test_of_runs_with_one_name_one_is_chosen(store: S3Store, tmp_path: Path) -> None:
    """By its ID, or if a Measurement was made again by its UID."""
    for uid, run_id in (("uid-1", "1"), ("uid-1", "2"), ("uid-2", "2")):
        JobRun(store, tmp_path, uid, run_id=run_id).start()
    store.put("surveys/uid-1/1+dry3/roster.json", b"")
    place = f"s3://{store.bucket}"
    with pytest.raises(LookupError, match=r"default.survey has the runs 1, 2; choose"):
        anabranch.open(place, "survey")
    assert anabranch.open(place, "survey", run_id="1").runs[0].measurement == "uid-1"
    with pytest.raises(LookupError, match="give the UID of one instead: uid-1, uid-2"):
        anabranch.open(place, "survey", run_id="2")
    assert anabranch.open(place, "uid-1", run_id="2").run_id == "2"
    with pytest.raises(LookupError, match=r"has no run '3' in s3://.*, only 1, 2"):
        anabranch.open(place, "survey", run_id="3")
    with pytest.raises(
        LookupError, match=r"no run of other.survey in .*default.survey"
    ):
        anabranch.open(place, "survey", namespace="other")


def test_a_run_that_goes_is_no_run(store: S3Store, tmp_path: Path) -> None:
    """Whoever opens it finds none; whoever reads it is told, and has no half of it."""
    run = JobRun(store, tmp_path, "uid-1")
    run.start()
    for agent in AGENTS:
        run.begin(agent)
        run.go_on(agent, FIRST)
    place = f"s3://{store.bucket}"
    survey = anabranch.open(place, "survey")
    file = tmp_path / "links.csv"

    def write() -> None:
        with survey.open_results() as results:
            remove_run(store, None, take_stock(store)[0])
            results.write("links", "csv", file)

    with pytest.raises(RemovedError, match="run 1 of uid-1 was removed while it was"):
        write()
    note_removal(store, run.keys)
    run.start()
    with pytest.raises(LookupError, match=r"there is no run of default\.survey"):
        anabranch.open(place, "survey")


def test_the_import_alone_loads_nothing() -> None:
    """Neither the engine, nor Arrow or ClickHouse."""
    script = "import sys, anabranch; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for heavy in ("anabranch_engine", "boto3", "chdb", "numpy", "pyarrow", "pydantic"):
        assert f"'{heavy}'" not in done.stdout


def _order(table: str) -> list[tuple[str, Literal["ascending", "descending"]]]:
    names = {
        "interfaces": ("agent", "addr"),
        "links": ("agent", "near_addr", "far_addr"),
        "diamonds": ("agent", "prefix", "protocol", "divergence_ttl"),
    }[table]
    return [(name, "ascending") for name in names]
