"""Surveys become what a simulated Internet is made of."""

from __future__ import annotations

import json
from io import BytesIO
from ipaddress import IPv4Address, ip_address
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from anabranch_engine import Plan, Simulation, TargetList

import anabranch
from anabranch.api.tool import DiamondMiner
from anabranch.cli import main
from anabranch.local.rehearsal import rehearse
from anabranch.local.score import ask_space, tell
from anabranch.rounds.outcome import Rules
from anabranch.warehouse import measured
from anabranch.warehouse.measured import read_measured
from surveying import write_manifests

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

PORT = 33_434
FLOWS = range(24_000, 24_024)
CARACAL = (
    "capture_timestamp,probe_protocol,probe_src_addr,probe_dst_addr,probe_src_port,"
    "probe_dst_port,probe_ttl,quoted_ttl,reply_src_addr,reply_protocol,reply_icmp_type,"
    "reply_icmp_code,reply_ttl,reply_size,reply_mpls_labels,rtt,round"
)
SILENT = str(IPv4Address(0))
"""What stands for the address of a router that was not heard."""
Links = set[tuple[str, str]]


def draw(**switches: float) -> Simulation:
    """A small drawn Internet, in which hosts answer."""
    return Simulation(
        prefixes_v4=24,
        prefixes_v6=24,
        vantage_points=1,
        seed=3,
        switches={"hosts": 1.0} | switches,
    )


def probe(world: Simulation) -> tuple[str, Links]:
    """The replies to some flows to each prefix, as caracal writes them; their links."""
    lines, links = [CARACAL], set()
    nets = [ip_address("240.0.0.7") + (n << 8) for n in range(24)]
    nets += [ip_address("3fff::7") + (n << 64) for n in range(24)]
    for address in nets:
        time_exceeded = "1,11" if address.version == 4 else "58,3"
        refused = "1,3" if address.version == 4 else "58,1"
        for port in FLOWS:
            path = world.path(0, address, 17, port << 16 | PORT)
            hops = [name if answers else None for name, answers in path]
            heard = [(ttl, name) for ttl, name in enumerate(hops, 1) if name]
            rows = [(ttl, name, time_exceeded) for ttl, name in heard]
            rows.append((len(path) + 1, str(address), refused))
            links |= {(near, far) for near, far in pairwise(hops) if near and far}
            lines += [
                f"1638522471,17,{as_mapped('198.18.0.2')},{as_mapped(str(address))},"
                f"{port},{PORT},{ttl},1,{as_mapped(source)},{kind},0,250,56,[],12,1"
                for ttl, source, kind in rows
            ]
    return "\n".join([*lines, ""]), links


def as_mapped(address: str) -> str:
    """An address as caracal writes it."""
    return address if ":" in address else f"::ffff:{address}"


def take(folder: Path, text: str) -> Path:
    """The data of an import of a file with this text."""
    file = folder / "file"
    file.write_text(text)
    data = folder / "data"
    assert main(["import", str(file), "--allow-reserved", "--data", str(data)]) == 0
    return data


def simulate(data: Path) -> Simulation:
    """The Internet of what was imported."""
    with anabranch.open(data, "imported").open_results() as results:
        return Simulation(
            prefixes_v4=0,
            prefixes_v6=0,
            vantage_points=1,
            seed=9,
            switches={},
            measured=read_measured(results.agents),
        )


def cross(world: Simulation, flows: range) -> Links:
    """The links between routers that answer which flows to all prefixes cross."""
    nets = [ip_address("240.0.0.7") + (n << 8) for n in range(24)]
    nets += [ip_address("3fff::7") + (n << 64) for n in range(24)]
    octets = [port << 16 | PORT for port in flows]
    links = world.links_of_flows(0, nets, 17, octets)
    return {(near, far) for near, far, answers in links if answers}


@pytest.mark.parametrize("rows", [None, 500])
def test_flows_cross_what_caracals_replies_show(
    rows: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All links of both families and no others, however small the pieces are."""
    if rows:
        monkeypatch.setattr(measured, "_PIECE_ROWS", rows)
    text, links = probe(draw(**{"silent-routers": 0.15}))
    world = simulate(take(tmp_path, text))
    assert cross(world, range(20_000, 22_000)) == links


def test_paths_are_as_long_as_they_were_and_end_at_the_host(tmp_path: Path) -> None:
    """With silent routers where none was heard."""
    drawn = draw(**{"silent-routers": 0.3})
    world = simulate(take(tmp_path, probe(drawn)[0]))
    for number in range(24):
        to = ip_address("240.0.0.7") + (number << 8)
        lengths = {len(drawn.path(0, to, 17, port << 16 | PORT)) for port in FLOWS}
        (length,) = lengths
        octets = 5 << 16 | PORT
        assert world.reply(0, to, 17, octets, length) != ("port unreachable", str(to))
        for ttl in (length + 1, length + 9):
            heard = world.reply(0, to, 17, octets, ttl)
            assert heard == ("port unreachable", str(to))


def trace(destination: str, *hops: int) -> str:
    """A line of scamper's JSON."""
    replies = [
        {"addr": f"240.9.0.{ttl}", "probe_ttl": ttl, "rtt": ttl, "icmp_type": 11}
        | {"icmp_code": 0, "probe_id": 1, "probe_size": 44}
        for ttl in hops
    ]
    return json.dumps(
        {"type": "trace", "version": "0.1", "method": "udp-paris", "src": "198.18.0.2"}
        | {"dst": destination, "hop_count": hops[-1], "hops": replies}
        | {"sport": 24000, "dport": 33434, "stop_reason": "GAPLIMIT"}
    )


def test_traces_of_an_archive_are_paths(tmp_path: Path) -> None:
    """A gap of the trace is a silent router, and nobody is behind its end."""
    world = simulate(take(tmp_path, trace("192.0.2.9", 2, 3, 5, 6)))
    to = ip_address("192.0.2.9")
    octets = 24_000 << 16 | PORT
    assert world.path(0, to, 17, octets) == [
        (SILENT, False),
        ("240.9.0.2", True),
        ("240.9.0.3", True),
        (SILENT, False),
        ("240.9.0.5", True),
        ("240.9.0.6", True),
    ]
    assert world.reply(0, to, 17, octets, 20) is None
    assert world.links_of_flows(0, [to], 17, [octets])[-1] == (
        "240.9.0.5",
        "240.9.0.6",
        True,
    )


def test_warts_are_paths_as_well(tmp_path: Path) -> None:
    """Those that a survey was written as."""
    data = take(tmp_path, "\n".join(trace(f"192.0.2.{n}", 1, 2, n) for n in (3, 4)))
    file = tmp_path / "traces.warts"
    written = ["results", "imported", "--data", str(data), "--output", str(file)]
    assert main([*written, "--format", "warts"]) == 0
    again = tmp_path / "again"
    imported = ["import", str(file), "--allow-reserved", "--data", str(again)]
    assert main(imported) == 0
    world = simulate(again)
    for last, silent in ((3, []), (4, [SILENT])):
        path = world.path(0, ip_address(f"192.0.2.{last}"), 17, 5)
        heard = [f"240.9.0.{ttl}" for ttl in (1, 2, last)]
        assert [name for name, _ in path] == [*heard[:2], *silent, heard[2]]


def test_a_router_between_silent_ones_is_there(tmp_path: Path) -> None:
    """Though no link shows it."""
    found = trace("192.0.2.9", 1, 3, 4, 6, 8)
    path = simulate(take(tmp_path, found)).path(0, ip_address("192.0.2.9"), 17, 5)
    assert [int(name[-1]) for name, _ in path] == [1, 0, 3, 4, 0, 6, 0, 8]


def test_a_rehearsal_finds_what_was_measured(tmp_path: Path) -> None:
    """The rule of a survey meets the links of the archive in process, and no others."""
    text, links = probe(draw(**{"silent-routers": 0.15}))
    world = simulate(take(tmp_path, text))
    targets = Plan.write(
        tmp_path / "targets.parquet",
        TargetList.read(
            BytesIO(b"240.0.0.0/20,udp,1,32,6\n3fff::/60,udp,1,32,6\n")
        ).split(24, 64, forbidden=[]),
        initial_source_port=24_000,
        destination_port=PORT,
        flow_mapper="RandomFlowMapper",
        seed=42,
        order_seed=1,
        blocks=1,
    )
    rules = Rules(DiamondMiner(), 20, 1e-6, 1, 32, drop_private=False)
    found = rehearse(world, 0, targets, rules, tmp_path)
    space = ask_space(targets, 4_096, tmp_path / "space.parquet")
    crossed = world.links_of_plan(0, space)
    expected = {(tell(near), tell(far)) for near, far, seen in crossed if seen}
    assert found.links == expected
    assert {(near, far) for near, far, seen in crossed if seen} <= links


@pytest.mark.parametrize("tool", [{"diamondMiner": {}}, {"trace": {"prefixLenV4": 24}}])
def test_the_recall_to_expect_is_known_of_an_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tool: dict[str, Any]
) -> None:
    """From rehearsals of a manifest in it, as in drawn Internets."""
    data = take(tmp_path, probe(draw())[0])
    targets = ["240.0.0.0/20,udp,1,32,6"]
    manifests = write_manifests(
        tmp_path / "m", targets, tool=tool, failureProbability=1e-6
    )
    capsys.readouterr()
    words = ["score", str(manifests), "--survey", str(data), "--rehearse=1"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--survey=/nosuch"], "there is no folder /nosuch; name one with"),
        (["--survey=EMPTY"], "there is no run in"),
        (["--survey=DATA", "--agent=other"], "there is no agent other in the survey"),
        (["--survey=DATA", "--run-id=x"], "default.imported has no run 'x' in"),
        (["--survey=DATA", "--measurement=x"], "there is no run of default.x in"),
        (["--survey=DATA", "--namespace=x"], "there is no run in"),
        (["--survey=DATA"], "found no links, so there are no paths; choose another"),
        (["--survey=DATA", "--vantage-points=2"], "the survey has 1 agents, and each"),
        (["--agent=x"], "name its folder with --survey"),
    ],
)
def test_a_survey_that_is_no_internet_is_told_in_a_line(
    options: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is made."""
    data = take(tmp_path, trace("240.0.0.9", 1))
    capsys.readouterr()
    (tmp_path / "empty").mkdir()
    folders = {"DATA": data, "EMPTY": tmp_path / "empty"}
    words = options
    for name, folder in folders.items():
        words = [word.replace(name, str(folder)) for word in words]
    assert main(["simulate", *words, "true"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("anabranch: ")
    assert told in line


def test_of_several_surveys_one_must_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names them."""
    data = take(tmp_path, trace("240.0.0.9", 1))
    more = ["import", str(tmp_path / "file"), "--allow-reserved", "--name", "more"]
    assert main([*more, "--data", str(data)]) == 0
    capsys.readouterr()
    assert main(["simulate", "--survey", str(data), "true"]) == 1
    told = capsys.readouterr().err
    assert told.endswith("has runs of imported, more; choose one\n")


def table(**columns: Any) -> pa.Table:
    """A table of targets or links, of one row unless columns say otherwise."""
    kinds = {
        **dict.fromkeys(("prefix_len", "protocol", "host_ttl", "near_ttl"), pa.uint8()),
        **dict.fromkeys(("prefix", "near_addr", "far_addr"), pa.binary(16)),
        "prefix_index": pa.uint32(),
        "hosts": pa.float64(),
        "flows": pa.uint64(),
    }
    return pa.table(
        {name: pa.array(values, kinds[name]) for name, values in columns.items()}
    )


def mapped(address: str) -> bytes:
    """An address in 16 bytes."""
    number = int(ip_address(address))
    return (0xFFFF << 32 | number).to_bytes(16, "big")


def tables(prefix: str = "192.0.2.0", ttl: int = 1, of: int = 0) -> Any:
    """A target, and a link on the way to it."""
    targets = table(
        prefix_index=[0],
        prefix=[mapped(prefix)],
        prefix_len=[24],
        protocol=[17],
        host_ttl=[0],
        hosts=[0],
    )
    links = table(
        prefix_index=[of],
        near_ttl=[ttl],
        near_addr=[mapped("240.9.0.1")],
        far_addr=[mapped("240.9.0.2")],
        flows=[1],
    )
    return targets, links


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((0, *tables(ttl=0)), "near_ttl 0; links must be of targets, sorted"),
        ((0, *tables(of=1)), "no target has the prefix_index 1 of a link"),
        ((1, *tables()), "there is no vantage point 1"),
        ((0, *tables("198.18.0.0")), "198.18.0.0/24 of a survey holds addresses of a"),
        ((0, tables()[1], tables()[1]), "must have a column prefix of"),
    ],
)
def test_paths_that_can_not_be_are_refused(found: Any, told: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=told):
        Simulation(
            prefixes_v4=0,
            prefixes_v6=0,
            vantage_points=1,
            seed=1,
            switches={},
            measured=[found],
        )
