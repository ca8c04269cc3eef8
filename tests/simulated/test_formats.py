"""Traces in the field's formats: written, read by other tools, and read again."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import warts
from ripe.atlas.sagan import Result

import anabranch
from anabranch.formats import traces as writing
from invocation import invoke
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = [
    "240.0.0.0/20,udp,1,32,1",
    "240.0.16.0/21,icmp,2,32,1",
    "3fff::/61,udp,1,32,1",
    "3fff:0:0:10::/61,icmp6,1,32,1",
]
DESTINATIONS = 16 + 8 + 8 + 8
TOOL = {"trace": {"prefixLenV4": 24, "prefixLenV6": 64}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey that traced all paths to each destination."""
    folder = tmp_path_factory.mktemp("formats")
    manifests = write_manifests(folder / "manifests", TARGETS, tool=TOOL)
    survey(World(24, 24), manifests, folder / "data")
    return folder / "data"


def export(data: Path, file: Path, *words: str, name: str = "survey") -> Path:
    """A new file with the traces of a survey."""
    invoke("results", name, "--data", str(data), "--output", str(file), *words)
    return file


def read_table(data: Path, table: str, name: str = "survey") -> list[dict[str, Any]]:
    """The rows of a table."""
    words = ("--table", table, "--format", "jsonl", "--data", str(data))
    lines = invoke("results", name, *words).splitlines()
    return [json.loads(line) for line in lines]


def read_links(data: Path, name: str = "survey") -> set[tuple[str, str]]:
    """The near and far address of all links."""
    rows = read_table(data, "links", name)
    return {(row["near_addr"], row["far_addr"]) for row in rows}


def tell(program: str, file: Path) -> list[dict[str, Any]]:
    """What a program of scamper's makes of a file, as JSON."""
    done = subprocess.run([program, file], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def take(file: Path, data: Path, *words: str) -> str:
    """Imports a file; the first line of what the command says."""
    told = invoke(
        *("import", str(file), "--data", str(data), "--allow-reserved", *words)
    )
    return told.partition("\n")[0]


def test_scamper_reads_the_paths_to_each_destination(
    data: Path, tmp_path: Path
) -> None:
    """With all links between routers, and their flows."""
    file = export(data, tmp_path / "all.warts", "--format", "warts")
    records = tell("sc_warts2json", file)
    traces = [record for record in records if record["type"] == "tracelb"]
    assert len(traces) == DESTINATIONS
    told = {
        (node["addr"], link["addr"])
        for trace in traces
        for node in trace["nodes"]
        if node["linkc"]
        for hops in node["links"][:1]
        for link in hops
        if link["addr"] not in {"*", trace["dst"]}
    }
    assert read_links(data) <= told
    assert records[0]["type"] == "cycle-start"
    assert records[0]["list_name"] == "survey"
    assert records[-1]["type"] == "cycle-stop"


def test_scamper_reads_single_paths_with_rtts(data: Path, tmp_path: Path) -> None:
    """A path for each flow, each hop with its reply as we have it."""
    words = ("--format", "warts", "--paths", "single")
    told = read_paths(export(data, tmp_path / "single.warts", *words))
    ours = Counter(
        (row["probe_dst_addr"], row["reply_src_addr"], row["probe_ttl"], row["rtt_us"])
        for row in read_table(data, "probes")
        if row["reply_src_addr"]
    )
    # What was probed behind a flow's end is left out.
    assert told <= ours
    assert told.total() > 0.8 * ours.total()


def read_paths(file: Path) -> Counter[tuple[str, str, int, int]]:
    """The hops of single paths, as scamper tells them: with RTTs in microseconds."""
    return Counter(
        (trace["dst"], hop["addr"], hop["probe_ttl"], round(hop["rtt"] * 1_000))
        for trace in tell("sc_warts2json", file)
        if trace["type"] == "trace"
        for hop in trace.get("hops", [])
    )


def test_pywarts_reads_the_same_single_paths(data: Path, tmp_path: Path) -> None:
    """Hop by hop."""
    words = ("--format", "warts", "--paths", "single")
    file = export(data, tmp_path / "single.warts", *words)
    told: Counter[tuple[str, str, int, int]] = Counter()
    with file.open("rb") as content:
        while record := warts.parse_record(content):
            if isinstance(record, warts.traceroute.Traceroute):
                told.update(
                    (record.dst_address, hop.address, hop.probe_ttl, hop.rtt)
                    for hop in record.hops
                )
    assert told == read_paths(file)
    assert told.total() > 100


def read_json(file: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_our_json_is_what_scamper_makes_of_our_warts(
    data: Path, tmp_path: Path
) -> None:
    """But that it knows silent probes, and the traffic class in quotes of IPv6."""
    words = ("--paths", "single", "--format")
    theirs = tell("sc_warts2json", export(data, tmp_path / "w", *words, "warts"))
    ours = read_json(export(data, tmp_path / "j", *words, "scamper-json"))
    for record in (*ours, *theirs):
        record.pop("no_hops", None)
        for hop in record.get("hops", []):
            hop.pop("icmp_q_tos", None)
    assert ours == theirs


def test_links_of_our_json_are_those_of_our_warts(data: Path, tmp_path: Path) -> None:
    """As scamper reads them: each hop of each link."""
    theirs = tell("sc_warts2json", export(data, tmp_path / "w", "--format", "warts"))
    ours = read_json(export(data, tmp_path / "j", "--format", "scamper-json"))
    told, found = (
        {
            (trace["dst"], node["addr"], place, link["addr"])
            for trace in records
            for node in trace.get("nodes", [])
            for place, hop in enumerate(node["links"])
            for link in hop
        }
        for records in (theirs, ours)
    )
    assert found == told
    assert len(found) > 100


def test_sagan_reads_results_of_each_flow(data: Path, tmp_path: Path) -> None:
    """RIPE's own reader finds no fault, and the replies that we have."""
    file = export(data, tmp_path / "atlas.json", "--format", "atlas-json")
    lines = file.read_text().splitlines()
    read = [Result.get(line, on_error=Result.ACTION_FAIL) for line in lines]
    told = Counter(
        (trace.destination_address, packet.origin, hop.index, packet.rtt)
        for trace in read
        for hop in trace.hops
        for packet in hop.packets
        if packet.origin
    )
    ours = Counter(
        (
            *(row["probe_dst_addr"], row["reply_src_addr"], row["probe_ttl"]),
            row["rtt_us"] / 1_000,
        )
        for row in read_table(data, "probes")
        if row["reply_src_addr"]
    )
    assert told <= ours
    assert told.total() > 0.8 * ours.total()
    assert {trace.protocol for trace in read} == {"UDP", "ICMP"}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_survey_that_is_imported_has_the_same_links(
    data: Path, tmp_path: Path, compression: str
) -> None:
    """Traces, links and replies come in as they went out."""
    words = ("--format", "warts", "--compress", compression)
    file = export(data, tmp_path / "out", *words)
    said = take(file, tmp_path / "in", "--name", "again")
    assert said.startswith(f"again: {DESTINATIONS} traces")
    assert read_links(tmp_path / "in", "again") == read_links(data)
    theirs = read_table(tmp_path / "in", "traces", "again")
    ours = read_table(data, "traces")
    assert {row["destination"] for row in theirs} == {
        row["destination"] for row in ours
    }


def test_a_file_that_is_cut_off_is_refused_with_the_place(
    data: Path, tmp_path: Path
) -> None:
    """And nothing of it is kept."""
    file = export(data, tmp_path / "whole.warts", "--format", "warts")
    cut = tmp_path / "cut.warts"
    cut.write_bytes(file.read_bytes()[:-100])
    told = invoke("import", str(cut), "--data", str(tmp_path / "in"), code=1)
    (line,) = told.splitlines()
    assert str(cut) in line
    assert "byte" in line
    assert list((tmp_path / "in").rglob("*.parquet")) == []


def test_a_run_is_not_imported_twice(data: Path, tmp_path: Path) -> None:
    """Under a name that is taken, the command says what to do."""
    file = export(data, tmp_path / "a.warts", "--format", "warts")
    take(file, tmp_path / "in")
    words = ("import", str(file), "--data", str(tmp_path / "in"), "--allow-reserved")
    assert "choose another name" in invoke(*words, code=1)


def test_an_unknown_file_is_refused(tmp_path: Path) -> None:
    """With the formats that can be read."""
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    told = invoke("import", str(file), "--data", str(tmp_path / "in"), code=1)
    assert "warts" in told


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey of a batch tool."""
    folder = tmp_path_factory.mktemp("batch")
    manifests = write_manifests(folder / "manifests", TARGETS, tool={"yarrp": {}})
    survey(World(24, 24), manifests, folder / "data")
    return folder / "data"


def test_replies_of_caracal_make_the_links_of_their_survey(
    batch: Path, tmp_path: Path
) -> None:
    """A survey of a batch tool, by its CSV."""
    file = tmp_path / "replies.csv"
    export(batch, file, "--table", "replies", "--format", "caracal-csv")
    said = take(file, tmp_path / "in", "--format", "caracal-csv", "--name", "again")
    assert "replies" in said
    assert read_links(tmp_path / "in", "again") == read_links(batch)


def test_few_replies_are_sorted_at_once(
    batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is the same."""
    whole = export(batch, tmp_path / "whole.warts", "--format", "warts")
    monkeypatch.setattr(writing, "_SORTED_ROWS", 100)
    pieces = tmp_path / "pieces.warts"
    with anabranch.open(batch, "survey").open_results() as results:
        (agent,) = results.agents
        writing.write_traces(agent, pieces, writing.TraceFormat("warts"), tmp_path)
    assert pieces.read_bytes() == whole.read_bytes()


def test_batch_tools_give_paths_as_well(batch: Path, tmp_path: Path) -> None:
    """One for each flow that had a reply, in a format that another tool reads."""
    file = export(batch, tmp_path / "paths.warts", "--format", "warts")
    traces = [each for each in tell("sc_warts2json", file) if each["type"] == "trace"]
    told = {
        (trace["dst"], hop["probe_ttl"], hop["addr"])
        for trace in traces
        for hop in trace["hops"]
    }
    replies = read_table(batch, "replies")
    assert told <= {
        (row["probe_dst_addr"], row["probe_ttl"], row["reply_src_addr"])
        for row in replies
    }
    assert len(traces) == len({row["prefix_index"] for row in replies})
