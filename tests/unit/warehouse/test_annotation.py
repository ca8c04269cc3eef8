"""The results Job, where a measurement names what is known about addresses."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from anabranch.rounds.steps import FIRST
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.s3 import S3Store
    from clickhouseserver import Server

PREFIX2AS = b"255.128.0.0\t9\t64500\n3fff:fff::\t32\t64501\n198.18.0.0\t15\t64502\n"
"""The routers of the simulated Internet, and the neighbours of its vantage points."""


def gather(run: JobRun) -> None:
    """Has the results of a run's first round be gathered."""
    run.start()
    run.begin(AGENTS[0])
    run.probe(AGENTS[0], FIRST)
    assert run.conclude(AGENTS[0], FIRST) == 0
    assert run.do("results", AGENTS[0]) == 0


def test_stored_tables_say_what_is_known(
    store: S3Store, of_jobs: dict[str, str], clickhouse: Server, tmp_path: Path
) -> None:
    """Even if a server runs the SQL, which sees no file of the Job."""
    store.put("annotations/table", PREFIX2AS)
    environment = of_jobs | clickhouse.environment
    keys = ("annotations/table",)
    run = JobRun(store, tmp_path, "annotated", environment, annotate_from=keys)
    gather(run)
    summary = json.loads(store.get(run.keys.summary))
    assert summary["tables"] == ["interfaces", "links", "diamonds", "as_links"]
    assert summary["not_annotated"] == ""
    rows = {
        table: pq.read_table(io.BytesIO(store.get(run.keys.table(table)))).to_pylist()
        for table in summary["tables"]
    }
    assert {row["asn"] for row in rows["interfaces"]} >= {64500, 64501}
    assert {row["near_asn"] for row in rows["links"]} >= {64500, 64501}
    assert all("convergence_asn" in row for row in rows["diamonds"])


def test_what_can_not_be_used_costs_no_results(
    store: S3Store, of_jobs: dict[str, str], tmp_path: Path
) -> None:
    """The summary says why, with the key and the place."""
    store.put("annotations/bad", b"nonsense\n")
    told = {}
    for name in ("bad", "gone"):
        scratch = tmp_path / name
        scratch.mkdir()
        keys = (f"annotations/{name}",)
        run = JobRun(store, scratch, f"annotated-{name}", of_jobs, annotate_from=keys)
        gather(run)
        summary = json.loads(store.get(run.keys.summary))
        assert summary["tables"] == ["interfaces", "links", "diamonds"]
        told[name] = summary["not_annotated"]
    assert told["bad"].startswith("annotations/bad: line 1: ")
    assert told["gone"] == (
        "there is no object 'annotations/gone' in the store; put it there"
    )
