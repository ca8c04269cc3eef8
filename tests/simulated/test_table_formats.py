"""Surveys in formats that come from tables: graphs, CAIDA's kit, Yarrp's output."""

from __future__ import annotations

import gzip
import re
import subprocess
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest
import zstandard

import anabranch
from invocation import invoke
from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.survey import Survey

WORLD = World(32, 16, vantage_points=2, switches={"mpls": 0.5, "silent-routers": 0.05})
TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]

FIELDS = "target sec usec type code ttl hop rtt ipid psize rsize rttl rtos mpls count"
"""Yarrp's."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey in rounds, and one that traces."""
    folder = tmp_path_factory.mktemp("survey")
    hosts = [f"240.0.{n}.9/32,udp,1,32,1" for n in range(32)]
    hosts += [f"3fff:0:0:{n:x}::9/128,icmp6,1,32,1" for n in range(16)]
    for run_id, targets, tool in (
        ("rounds", TARGETS, None),
        ("traces", hosts, {"trace": {}}),
    ):
        manifests = write_manifests(
            folder / run_id, targets, points=2, tool=tool, runId=run_id, maxRounds=4
        )
        WORLD.run(*command(manifests, folder / "data"))
    return folder / "data"


@pytest.fixture
def survey(data: Path) -> Survey:
    """That in rounds."""
    return anabranch.open(data, "survey", run_id="rounds")


def write(
    data: Path,
    run_id: str,
    output_format: str,
    output: Path,
    *words: str,
    code: int = 0,
) -> str:
    """Writes it; what `anabranch results` says if it is to fail."""
    words = (*words, "--data", str(data), "--run-id", run_id, "--output", str(output))
    return invoke("results", "survey", "--format", output_format, *words, code=code)


def find_links(survey: Survey) -> dict[tuple[str, str], int]:
    """The links that are not suspect, of all agents, with their flows."""
    found: dict[tuple[str, str], int] = {}
    for row in survey.links.to_pylist():
        if not row["is_suspect"]:
            ends = (row["near_addr"], row["far_addr"])
            found[ends] = found.get(ends, 0) + row["flows"]
    return found


def test_networkx_reads_the_links_as_graphml(
    data: Path, survey: Survey, tmp_path: Path
) -> None:
    """All of them, or those on the paths to a target."""
    write(data, "rounds", "graphml", tmp_path / "all.graphml")
    graph = nx.read_graphml(tmp_path / "all.graphml")
    assert graph.is_directed()
    flows = {(a, b): its["flows"] for a, b, its in graph.edges(data=True)}
    assert flows == find_links(survey)
    for near, far, its in graph.edges(data=True):
        assert graph.nodes[near]["ttl"] <= its["ttl"]
        assert graph.nodes[far]["ttl"] <= its["ttl"] + 1
        assert set(its["agents"].split()) <= {"agent1", "agent2"}
    paths = survey.paths.to_pylist()
    prefix = paths[0]["prefix"]
    write(data, "rounds", "graphml", tmp_path / "one.graphml", "--target", prefix)
    graph = nx.read_graphml(tmp_path / "one.graphml")
    assert set(graph.edges) == {
        (row["near_addr"], row["far_addr"]) for row in paths if row["prefix"] == prefix
    }


def test_graphviz_draws_the_links(data: Path, survey: Survey, tmp_path: Path) -> None:
    """To the largest target; and it reads all."""
    write(data, "rounds", "dot", tmp_path / "one.dot", "--target", "largest")
    drawn = _run_dot("-Tsvg", tmp_path / "one.dot")
    assert drawn.count('class="edge"') > 10
    write(data, "rounds", "dot", tmp_path / "all.dot")
    edges = re.findall(r'"(\S+)" -> "(\S+)"', (tmp_path / "all.dot").read_text())
    assert set(edges) == set(find_links(survey))


def test_the_kit_has_all_interfaces_and_links(
    data: Path, survey: Survey, tmp_path: Path
) -> None:
    """Of each IP version apart."""
    write(data, "rounds", "itdk", tmp_path / "kit")
    nodes, links, ifaces = _read_kit(tmp_path / "kit")
    assert set(nodes.values()) == set(survey.interfaces["addr"].to_pylist())
    assert links == set(find_links(survey))
    assert ifaces == set(nodes.values())


def test_the_kit_of_traces_has_silent_routers(data: Path, tmp_path: Path) -> None:
    """Each between two that replied, with an address that can be none."""
    write(data, "traces", "itdk", tmp_path / "kit")
    survey = anabranch.open(data, "survey", run_id="traces")
    nodes, links, ifaces = _read_kit(tmp_path / "kit")
    places = {each for each in nodes.values() if ip_address(each).is_multicast}
    assert places
    real = set(survey.interfaces["addr"].to_pylist())
    assert set(nodes.values()) - places == ifaces == real
    between = {(near, far) for near, far in links if {near, far} & places}
    assert links - between == set(find_links(survey))
    for place in places:
        ((near, _),) = [ends for ends in between if ends[1] == place]
        ((_, far),) = [ends for ends in between if ends[0] == place]
        assert {near, far} <= real


def test_the_kit_tells_the_as_of_each_router_that_replied(
    data: Path, tmp_path: Path
) -> None:
    """If a file knows it; a silent one has no address that tells it."""
    table = tmp_path / "table.pfx2as"
    table.write_text("0.0.0.0\t0\t64500\n::\t0\t64501\n")
    write(data, "traces", "itdk", tmp_path / "kit", "--annotate", str(table))
    nodes, _, ifaces = _read_kit(tmp_path / "kit", "nodes.as")
    asn_of = {
        nodes[f"{version}:{node}"]: asn
        for version in ("ipv4", "ipv6")
        for line in _lines(tmp_path / "kit" / f"{version}.nodes.as")
        for _, node, asn, method in [line.split()]
        if method == "origins"
    }
    assert asn_of == {each: "64501" if ":" in each else "64500" for each in ifaces}


def test_yarrps_files_have_all_replies(
    data: Path, survey: Survey, tmp_path: Path
) -> None:
    """With its fields and its header, a file for each agent and kind of probe."""
    write(data, "rounds", "yarrp", tmp_path / "yarrp")
    files = sorted(tmp_path.joinpath("yarrp").iterdir())
    assert [file.name for file in files] == [
        f"agent{n}-{kind}.yrp" for n in (1, 2) for kind in ("ICMP6", "UDP")
    ]
    found = []
    for file in files:
        header, rows = _read_yarrp(file)
        agent, kind = file.stem.split("-")
        assert header["Trace_Type"] == kind
        assert header["RTT_Granularity"] == "us"
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} UTC", header["Start"])
        ip_address(header["SourceIP"])
        found += [(agent, *row) for row in rows]
    wanted = [
        (
            *(row["agent"], row["probe_dst_addr"], row["capture_time_us"]),
            *(row["reply_icmp_type"], row["reply_icmp_code"], row["probe_ttl"]),
            *(row["reply_src_addr"], row["rtt_us"], row["reply_id"]),
            row["reply_size"] - (40 if ":" in row["probe_dst_addr"] else 0),
            ",".join(
                f"{e['label']}:{e['ttl']}" for e in map(_name, row["reply_mpls_labels"])
            )
            or "0",
        )
        for row in survey.replies.to_pylist()
    ]
    assert sorted(found) == sorted(wanted)
    assert any(":" in row[-1] for row in found)


def test_yarrps_files_say_which_tcp_was_sent(tmp_path: Path) -> None:
    """SYNs or ACKs; what answers them by TCP is not in them."""
    targets = ["240.0.0.0/20,tcpAck,1,32,1", "3fff::/60,tcpAck,1,32,1"]
    manifests = write_manifests(tmp_path / "m", targets, tool={"yarrp": {}})
    data = tmp_path / "data"
    World(16, 16, switches={"hosts": 1.0}).run(*command(manifests, data))
    write(data, "1", "yarrp", tmp_path / "yarrp")
    replies = anabranch.open(data, "survey").replies.to_pylist()
    assert {row["reply_protocol"] for row in replies} == {1, 6, 58}
    for kind, protocol in (("TCP6_ACK", 58), ("TCP_ACK", 1)):
        header, rows = _read_yarrp(tmp_path / "yarrp" / f"agent1-{kind}.yrp")
        assert header["Trace_Type"] == kind
        assert header["Dst_Port"] == "80"
        assert len(rows) == sum(row["reply_protocol"] == protocol for row in replies)


def test_files_are_compressed_on_request(data: Path, tmp_path: Path) -> None:
    """Each of them, with the same content."""
    for output_format in ("graphml", "dot"):
        write(data, "rounds", output_format, tmp_path / "plain")
        words = ("--compress", "zstd")
        write(data, "rounds", output_format, tmp_path / "packed", *words)
        packed = tmp_path.joinpath("packed").read_bytes()
        plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
        assert plain == tmp_path.joinpath("plain").read_bytes()
        tmp_path.joinpath("plain").unlink()
        tmp_path.joinpath("packed").unlink()
    for output_format in ("itdk", "yarrp"):
        write(data, "rounds", output_format, tmp_path / f"{output_format}-plain")
        folder = tmp_path / output_format
        write(data, "rounds", output_format, folder, "--compress", "gzip")
        # Yarrp's replies come in any order.
        content = {
            file.name: sorted(gzip.decompress(file.read_bytes()).splitlines())
            for file in folder.iterdir()
        }
        plain_files = tmp_path.joinpath(f"{output_format}-plain").iterdir()
        assert content == {
            f"{file.name}.gz": sorted(file.read_bytes().splitlines())
            for file in plain_files
        }


def test_what_can_not_be_written_is_told(data: Path, tmp_path: Path) -> None:
    """In one line, and nothing is overwritten."""
    there, packed = tmp_path / "there", ("--compress", "gzip")
    there.mkdir()
    assert "File exists" in write(data, "rounds", "yarrp", there, code=1)
    assert "File exists" in write(data, "rounds", "itdk", there, code=1)
    told = write(data, "rounds", "parquet", tmp_path / "x", *packed, code=1)
    assert "parquet is compressed already; leave out --compress" in told
    told = write(data, "rounds", "dot", tmp_path / "x", "--target", "here", code=1)
    assert "does not appear to be" in told


def _run_dot(option: str, file: Path) -> str:
    done = subprocess.run(
        ["dot", option, str(file)], capture_output=True, text=True, check=True
    )
    return done.stdout


def _read_kit(
    folder: Path, *more: str
) -> tuple[dict[str, str], set[tuple[str, str]], set[str]]:
    """The address of each node by version and number, links, and interfaces."""
    nodes: dict[str, str] = {}
    links: set[tuple[str, str]] = set()
    ifaces: set[str] = set()
    assert {file.name for file in folder.iterdir()} == {
        f"ipv{n}.{name}" for n in (4, 6) for name in ("nodes", "links", "ifaces", *more)
    }
    for version in ("ipv4", "ipv6"):
        here: dict[str, str] = {}
        by_far: dict[str, str] = {}
        for line in _lines(folder / f"{version}.nodes"):
            name, address = re.fullmatch(r"node (N\d+):  (\S+)", line).groups()  # type: ignore[union-attr]
            here[name] = address
        for line in _lines(folder / f"{version}.links"):
            told = re.fullmatch(r"link (L\d+):  (N\d+):(\S+)((?: N\d+)+)", line)
            assert told
            link, far, address, near = told.groups()
            assert here[far] == address
            by_far[address] = link
            links |= {(here[each], address) for each in near.split()}
        for line in _lines(folder / f"{version}.ifaces"):
            address, node, *link, flag = line.split()
            assert flag == "T"
            assert here[node] == address
            assert link == ([by_far[address]] if address in by_far else [])
            ifaces.add(address)
        assert sorted(here) == sorted(f"N{n + 1}" for n in range(len(here)))
        nodes |= {f"{version}:{name}": address for name, address in here.items()}
    return nodes, links, ifaces


def _lines(file: Path) -> list[str]:
    head, *lines = file.read_text().splitlines()
    assert head.startswith("# ")
    return lines


def _read_yarrp(file: Path) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """The header and the fields that are compared, as Yarrp's page has them."""
    lines = file.read_text().splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("#"))
    rows = []
    names = header["Output_Fields"].split()
    assert " ".join(names) == FIELDS
    for line in lines:
        if line.startswith("#"):
            continue
        row = dict(zip(names, line.split(" "), strict=True))
        rows.append(
            (
                *(row["target"], int(row["sec"]) * 1_000_000 + int(row["usec"])),
                *(int(row[name]) for name in ("type", "code", "ttl")),
                row["hop"],
                *(int(row[name]) for name in ("rtt", "ipid", "rsize")),
                row["mpls"],
            )
        )
    return header, rows


def _name(label: dict[str, int]) -> dict[str, int]:
    """A label by its fields' names, whatever the engine calls them."""
    return dict(zip(("label", "exp", "bos", "ttl"), label.values(), strict=True))
