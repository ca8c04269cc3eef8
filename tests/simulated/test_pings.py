"""Surveys of ping: how many requests are answered, and how soon."""

from __future__ import annotations

import shlex
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

import pytest

from anabranch.warehouse.survey import open_survey
from onesurvey import open_run
from parts import read_address, read_parts
from surveying import ONCE_IT_PROBES, command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ["240.0.0.0/26,icmp,1,64,1", "3fff::/123,icmp6,1,64,1"]
ADDRESSES, TIMES = 64 + 32, 10


def test_each_address_has_its_replies_loss_and_times(tmp_path: Path) -> None:
    """Also those that never answer; all of it as the replies say."""
    world = World(switches={"loss": 0.2, "hosts": 0.5})
    manifests = write_manifests(
        tmp_path / "manifests", TARGETS, tool={"ping": {"repetitions": TIMES}}
    )
    data = tmp_path / "data"
    survey(world, manifests, data)
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
