"""The results Job, where a measurement asks for other formats."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING

import networkx as nx
import pyarrow.parquet as pq

from anabranch.rounds.steps import FIRST
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from anabranch.store.s3 import S3Store
    from clickhouseserver import Server


def gather(run: JobRun) -> dict[str, Any]:
    """What the Job says of a run's first round."""
    run.start()
    for agent in AGENTS:
        run.begin(agent)
        run.probe(agent, FIRST)
        assert run.conclude(agent, FIRST) == 0
    assert run.do("results", *AGENTS) == 0
    summary: dict[str, Any] = json.loads(run.store.get(run.keys.summary))
    return summary


def read_files(run: JobRun, output: str) -> dict[str, str]:
    """The files of a format by their names, without compression."""
    return {
        key.rpartition("/")[2]: gzip.decompress(run.store.get(key)).decode()
        for key in run.store.list(run.keys.output(output))
    }


def test_each_agent_has_a_file_of_each_format(
    store: S3Store, of_jobs: dict[str, str], tmp_path: Path
) -> None:
    """In a folder of the format, compressed; the summary tells of them."""
    run = JobRun(store, tmp_path, "written", of_jobs, outputs=("warts", "scamperJson"))
    assert gather(run)["outputs"] == ["scamperJson", "warts"]
    for agent in AGENTS:
        key = f"{run.keys.output('warts')}/{agent}.warts.gz"
        assert gzip.decompress(store.get(key)).startswith(b"\x12\x05")
        key = f"{run.keys.output('scamperJson')}/{agent}.jsonl.gz"
        lines = gzip.decompress(store.get(key)).splitlines()
        assert json.loads(lines[0])["hostname"] == agent
        assert json.loads(lines[1])["type"] == "trace"


def test_replies_and_links_are_there_in_the_fields_formats(
    store: S3Store, of_jobs: dict[str, str], clickhouse: Server, tmp_path: Path
) -> None:
    """Even if a server runs the SQL, which sees no file of the Job."""
    store.put("annotations/all", b"0.0.0.0\t0\t64500\n")
    outputs = ("caracalCsv", "dot", "graphml", "itdk", "yarrp")
    run = JobRun(
        store,
        tmp_path,
        "formats",
        of_jobs | clickhouse.environment,
        annotate_from=("annotations/all",),
        outputs=outputs,
    )
    assert gather(run)["outputs"] == [*outputs]
    rows = pq.read_table(io.BytesIO(store.get(run.keys.table("links")))).to_pylist()
    links = {
        (row["near_addr"], row["far_addr"]) for row in rows if not row["is_suspect"]
    }
    text = read_files(run, "graphml")["links.graphml.gz"]
    assert set(nx.parse_graphml(text).edges()) == links
    assert read_files(run, "dot")["links.dot.gz"].count(" -> ") == len(links)
    kit = read_files(run, "itdk")
    assert {"ipv4.nodes.gz", "ipv4.nodes.as.gz", "ipv6.links.gz"} < set(kit)
    far = sum(kit[f"ipv{n}.links.gz"].count("\nlink ") for n in (4, 6))
    assert far == len({end for _, end in links})
    assert " 64500 origins\n" in kit["ipv4.nodes.as.gz"]
    replies = read_files(run, "caracalCsv")
    for agent in AGENTS:
        found = len(run.read_replies(agent))
        assert len([*csv.DictReader(io.StringIO(replies[f"{agent}.csv.gz"]))]) == found
        yarrp = [
            line
            for name, text in read_files(run, "yarrp").items()
            if name.startswith(f"{agent}-")
            for line in text.splitlines()
            if not line.startswith("#")
        ]
        assert len(yarrp) == found


def test_who_found_nothing_has_no_file(
    store: S3Store, of_jobs: dict[str, str], tmp_path: Path
) -> None:
    """And the summary names no format then."""
    run = JobRun(store, tmp_path, "empty", of_jobs, outputs=("warts", "itdk", "dot"))
    run.start()
    assert run.do("results", *AGENTS) == 0
    assert json.loads(store.get(run.keys.summary))["outputs"] == []
