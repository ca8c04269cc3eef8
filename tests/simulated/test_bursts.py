"""Bursts of real connections, and what becomes of each."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clientele import (
    PORT,
    find_least_pause,
    read_files,
    read_outcomes,
    write_manifest,
)
from world import World

if TYPE_CHECKING:
    from clientele import Ended

_TESTS = Path(__file__).parents[1]
_CACHE_SECONDS = 600
_SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
import json
from pathlib import Path
from clientele import Running, clientele, draw_bursts
from eventsocket import play_tcp_info
folder, source = Path(sys.argv[2]), sys.argv[3]
with play_tcp_info(folder / "events.sock") as info:
    with clientele(info.end_port) as clients:
        run = Running(folder / "clients.yaml", folder / "data")
        if source == "eventSocket":
            info.await_listener(600)
        ended = clients.visit(draw_bursts(*map(int, sys.argv[4:])))
        run.await_heard(len(ended), 600)
        run.settle(3000)
        run.stop()
(folder / "ended.json").write_text(json.dumps(ended))
"""


@dataclass(frozen=True)
class Load:
    """How many connections of how many clients end, within how many seconds."""

    connections: int
    clients: int
    seconds: int


FEW = Load(300, 90, 3)
MANY = Load(10_000, 3_000, 60)


def check_heard(
    ended: list[Ended], settled: list[dict[str, Any]], missed: list[dict[str, Any]]
) -> None:
    """Each connection is there once, unless it ended in a time that was missed."""
    told = Counter((each["client"], each["client_port"]) for each in settled)
    there = Counter((client, port) for client, port, _ in ended)
    assert not told - there
    lost = there - told
    for client, port, at in ended:
        if (client, port) in lost:
            slack = 1.0  # Its end is noted when the client sees it.
            spans = [(each["since"] - slack, each["until"] + slack) for each in missed]
            assert any(since <= at <= until for since, until in spans), (client, port)


@pytest.mark.parametrize("source", ["kernel", "eventSocket"])
@pytest.mark.parametrize(
    "load", [FEW, pytest.param(MANY, marks=pytest.mark.statistics)], ids=["few", "many"]
)
def test_each_connection_of_a_burst_has_its_outcome(
    load: Load, source: str, tmp_path: Path
) -> None:
    """No client is traced twice in ten minutes, and every file is whole."""
    agent = {"eventSocket": str(tmp_path / "events.sock")}
    ports = [PORT] if source == "kernel" else []
    of: dict[str, Any] = {"source": source, "cacheSeconds": _CACHE_SECONDS}
    write_manifest(tmp_path, agent=agent, ports=ports, **of)
    world = World(load.clients, 0, switches={"hosts": 1.0, "silent-routers": 0.0})
    words = [sys.executable, "-c", _SCRIPT, str(_TESTS), str(tmp_path), source]
    much = map(str, (load.connections, load.clients, load.seconds))
    world.run(*words, *much, seconds=3600)
    ended = json.loads((tmp_path / "ended.json").read_text())
    assert len(ended) == load.connections
    told = read_outcomes(tmp_path / "data")
    settled = [each for each in told if each["outcome"] != "missed"]
    missed = [each for each in told if each["outcome"] == "missed"]
    counts = Counter(each["outcome"] for each in settled)
    assert find_least_pause(settled) >= _CACHE_SECONDS
    check_heard(ended, settled, missed)
    assert all(
        (each["reason"] is None) == (each["outcome"] != "dropped") for each in settled
    )
    files = read_files(tmp_path / "data")
    kinds = Counter(
        (len(lines), lines[2]["type"], lines[0]["CachedResult"])
        for lines in files.values()
    )
    assert kinds == {
        (4, "tracelb", False): counts["traced"],
        (4, "tracelb", True): counts["copied"],
    }
    kept = (each["uuid"] for each in settled if each["outcome"] != "dropped")
    assert {lines[0]["UUID"] for lines in files.values()} == set(kept)
