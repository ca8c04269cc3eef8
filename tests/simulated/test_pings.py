"""Surveys of ping: how many requests are answered, and how soon."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from ripe.atlas.sagan import Result

from anabranch.warehouse.survey import open_survey
from invocation import invoke
from onesurvey import open_run
from parts import read_address, read_parts
from surveying import ONCE_IT_PROBES, command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ["240.0.0.0/26,icmp,1,64,1", "3fff::/123,icmp6,1,64,1"]
ADDRESSES, TIMES = 64 + 32, 10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey of addresses of which some never answer."""
    folder = tmp_path_factory.mktemp("pings")
    manifests = write_manifests(
        folder / "manifests", TARGETS, tool={"ping": {"repetitions": TIMES}}
    )
    world = World(switches={"loss": 0.2, "hosts": 0.5})
    survey(world, manifests, folder / "data")
    return folder / "data"


def test_each_address_has_its_replies_loss_and_times(data: Path) -> None:
    """Also those that never answer; all of it as the replies say."""
    times: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for row in read_parts(data / open_run(data).root):
        if row.get("reply_icmp_type") in {0, 129}:
            times[str(read_address(row["probe_dst_addr"]))][row["flow"]] = row["rtt_us"]
    rows = open_survey(data, "survey").read("pings").to_pylist()
    assert len(rows) == ADDRESSES
    assert 0 < len(times) < ADDRESSES
    for row in rows:
        rtts = sorted(times[row["addr"]].values())
        assert row["agent"] == "agent1"
        assert row["protocol"] == (58 if ":" in row["addr"] else 1)
        assert (row["probes"], row["replies"]) == (TIMES, len(rtts))
        assert row["loss"] == pytest.approx(1 - len(rtts) / TIMES)
        found = [row[f"{name}_rtt_us"] for name in ("min", "median", "max")]
        known = [rtts[0], int(median(rtts)), rtts[-1]] if rtts else [None] * 3
        assert found == known
    losses = {row["loss"] for row in rows}
    assert 1 in losses
    assert losses & {0.1, 0.2, 0.3}


def test_scamper_reads_a_ping_of_each_address(data: Path, tmp_path: Path) -> None:
    """What it prints of warts is what the table says, and what our JSON has."""
    rows = {row["addr"]: row for row in open_survey(data, "survey").pings.to_pylist()}
    file = tmp_path / "pings.warts"
    words = ("results", "survey", "--data", str(data), "--format")
    invoke(*words, "warts", "--output", str(file))
    told = _run("sc_warts2json", file)
    pings = [each for each in map(json.loads, told) if each["type"] == "ping"]
    assert sorted(each["dst"] for each in pings) == sorted(rows)
    for each in pings:
        row = rows[each["dst"]]
        echoes = [e for e in each["responses"] if e["icmp_type"] in {0, 129}]
        assert (each["ping_sent"], len(echoes)) == (TIMES, row["replies"])
        assert each["statistics"]["loss"] == pytest.approx(row["loss"])
        rtts = [round(echo["rtt"] * 1000) for echo in echoes]
        assert min(rtts, default=None) == row["min_rtt_us"]
    assert sum(
        line.startswith("ping from ") for line in _run("sc_wartsdump", file)
    ) == (ADDRESSES)
    lines = [json.loads(line) for line in invoke(*words, "scamper-json").splitlines()]
    ours = [each for each in lines if each["type"] == "ping"]
    assert [*map(_sum_up, ours)] == [*map(_sum_up, pings)]


def test_the_library_of_ripe_atlas_reads_them(data: Path) -> None:
    """With as many requests and replies as there were."""
    rows = {row["addr"]: row for row in open_survey(data, "survey").pings.to_pylist()}
    words = ("results", "survey", "--data", str(data), "--format", "atlas-json")
    found = [Result.get(line) for line in invoke(*words).splitlines()]
    assert {
        each.destination_address: (each.packets_sent, each.packets_received)
        for each in found
    } == {addr: (TIMES, row["replies"]) for addr, row in rows.items()}


def test_loss_is_unknown_before_all_is_sent(tmp_path: Path) -> None:
    """What is known by then is told: replies and times."""
    manifests = write_manifests(
        tmp_path / "manifests",
        TARGETS,
        tool={"ping": {"repetitions": TIMES}},
        agent={"maxProbingRate": 100},
    )
    data = tmp_path / "data"
    words = shlex.join(command(manifests, data))
    script = f"{words} & {ONCE_IT_PROBES}; kill -INT $!; wait $! || true"
    World(switches={"hosts": 1.0}).run("sh", "-c", script)
    rows = open_survey(data, "survey").read("pings").to_pylist()
    assert len(rows) == ADDRESSES
    assert {(row["probes"], row["loss"]) for row in rows} == {(None, None)}
    assert sum(row["replies"] for row in rows) > 0


def test_another_tool_has_no_pings(tmp_path: Path) -> None:
    """The table says so."""
    manifests = write_manifests(
        tmp_path / "manifests", ["240.0.0.0/24,udp,1,9,1"], tool={"yarrp": {}}
    )
    survey(World(10, 0), manifests, tmp_path / "data")
    with pytest.raises(LookupError, match="the tool is not ping"):
        open_survey(tmp_path / "data", "survey").read("pings")


def _run(program: str, file: Path) -> list[str]:
    """The lines that a program of scamper's prints of a file."""
    done = subprocess.run([program, file], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _sum_up(ping: dict[str, Any]) -> tuple[Any, ...]:
    """Its destination, time and requests, and which of them were answered, and when."""
    replies = [(each["seq"], each["from"], each["rtt"]) for each in ping["responses"]]
    return ping["dst"], ping["start"], ping["ping_sent"], replies
