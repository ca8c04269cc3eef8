"""What becomes of connections, whatever happens meanwhile."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from clientele import find_least_pause, read_files, read_outcomes
from clientscripts import listen, play
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path


def test_clients_that_are_not_traced_have_their_reason(tmp_path: Path) -> None:
    """What is excluded, forbidden, and what the queue has no room for."""
    script = """
with clientele() as clients:
    run = Running(manifest, data)
    clients.connect(["240.0.1.1", "240.0.2.1", "240.0.3.1"])
    run.settle()
    run.stop()
"""
    data = play(
        script,
        tmp_path,
        agent={"exclusions": ["240.0.2.0/24"]},
        exclude=["240.0.1.0/24"],
    )
    reasons = {
        each["client"]: (each["outcome"], each["reason"])
        for each in read_outcomes(data)
    }
    assert reasons["240.0.1.1"] == ("dropped", "excluded")
    outcome, reason = reasons["240.0.2.1"]
    assert outcome == "dropped"
    assert "240.0.2" in reason
    assert reasons["240.0.3.1"] == ("traced", None)


def test_a_flood_is_recorded_and_nobody_else_waits_for_it(tmp_path: Path) -> None:
    """Of more connections than may wait, each has its reason."""
    script = """
with play_tcp_info(data.parent / "events.sock") as info:
    run = Running(manifest, data)
    info.await_listener(60)
    for k in range(5_000):
        info.end(f"240.0.7.{k % 250 + 1}")
    info.end("240.0.9.1")
    time.sleep(1)
    run.settle()
    run.stop()
"""
    limits = {"maxWaiting": 100, "maxTraces": 20}
    outcomes = read_outcomes(listen(script, tmp_path, **limits))
    counts = Counter((each["outcome"], each["reason"]) for each in outcomes)
    assert counts.total() == 5_001
    assert {reason for _, reason in counts} == {None, "queue full"}
    assert counts["dropped", "queue full"]
    (other,) = (each for each in outcomes if each["client"] == "240.0.9.1")
    assert other["outcome"] == "traced"


def test_a_trace_that_takes_too_long_is_no_result(tmp_path: Path) -> None:
    """Its connections are told why, and the client's next one is traced again."""
    script = """
text = manifest.read_text()
slow = text.replace("maxRatePerPrefix: 1000", "maxRatePerPrefix: 1")
assert slow != text
manifest.write_text(slow)
with play_tcp_info(data.parent / "events.sock") as info:
    run = Running(manifest, data)
    info.await_listener(60)
    info.end("240.0.1.1", "240.0.1.1")
    run.await_heard(2, 600)
    run.settle(600)
    manifest.write_text(text)
    heard = 2
    while not run.count("traced"):
        heard += 1
        info.end("240.0.1.1")
        run.await_heard(heard, 600)
        run.settle(600)
    info.end("240.0.1.1")
    run.await_heard(heard + 1, 600)
    run.stop()
"""
    data = listen(script, tmp_path, deadlineSeconds=5)
    reasons = [(each["outcome"], each["reason"]) for each in read_outcomes(data)]
    limited = ("dropped", "time limit")
    assert set(reasons[:-2]) == {limited}
    assert len(reasons[:-2]) >= 2
    assert reasons[-2:] == [("traced", None), ("copied", None)]
    assert len(read_files(data)) == 2


def test_a_policy_that_stops_holds_from_the_first_moment(tmp_path: Path) -> None:
    """What waits already begins only once it may."""
    script = """
text = manifest.read_text()
stopping = text.replace("maxRatePerPrefix:", "stop: true\\n  maxRatePerPrefix:")
assert stopping != text
manifest.write_text(stopping)
with play_tcp_info(data.parent / "events.sock") as info:
    run = Running(manifest, data)
    info.await_listener(60)
    info.end("240.0.1.1")
    run.await_heard(1, 600)
    run.kill()
    run = Running(manifest, data)
    time.sleep(3)
    assert (run.begun, run.waiting) == (0, 1)
    manifest.write_text(text)
    run.settle()
    run.stop()
"""
    outcomes = [each["outcome"] for each in read_outcomes(listen(script, tmp_path))]
    assert outcomes.count("traced") == 1


@pytest.mark.parametrize("room", [10_000, 50])
def test_nothing_is_lost_unsaid_while_the_disk_is_full(
    room: int, tmp_path: Path
) -> None:
    """Events wait in memory, as many as may wait; how many do not is recorded."""
    script = """
import shutil, subprocess
words = "mount -t tmpfs -o size=8m tmpfs".split()
subprocess.run([*words, str(data)], check=True)
with play_tcp_info(data.parent / "events.sock") as info:
    run = Running(manifest, data)
    info.await_listener(60)
    info.end(*(f"240.0.{k}.1" for k in range(5)))
    time.sleep(2)
    with (data / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    info.end(*(f"240.0.{k}.1" for k in range(5, 105)))
    time.sleep(3)
    (data / "ballast").unlink()
    time.sleep(2)
    run.settle()
    run.stop()
shutil.copytree(data / "agents", data.parent / "kept")
"""
    (tmp_path / "data").mkdir()
    data = listen(script, tmp_path, maxWaiting=room)
    (data / "agents").symlink_to(tmp_path / "kept")
    told = read_outcomes(data)
    outcomes = Counter(each["outcome"] for each in told)
    reasons = [each["reason"] for each in told if each["outcome"] == "missed"]
    lost = sum(map(int, re.findall(r"the disk was full: (\d+)", str(reasons))))
    assert outcomes["traced"] + outcomes["dropped"] + lost == 105
    assert (lost > 0) == (room < 100)
    if not lost:
        assert outcomes == {"traced": 105}


@pytest.mark.statistics
def test_a_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    """At random times, with bursts of connections of many clients."""
    script = """
import random
chance = random.Random(11)
with clientele() as clients:
    for _ in range(100):
        run = Running(manifest, data)
        many = chance.choice([5, 20, 200])
        whose = [chance.randrange(1000) for _ in range(many)]
        clients.connect([f"240.{k >> 8}.{k & 255}.1" for k in whose])
        time.sleep(chance.uniform(0.1, 2))
        run.kill()
    run = Running(manifest, data)
    run.settle(300)
    run.stop()
"""
    world = World(prefixes_v6=0, switches=ANSWERING)
    terms = {"cacheSeconds": 60, "archiveSeconds": 10}
    # A hundred starts take as long as the machine does.
    check_kills(play(script, tmp_path, world, 3600, **terms), 60)


def check_kills(data: Path, cache_seconds: float) -> None:
    """Each connection has its trace, and no client has two within so many seconds."""
    outcomes = [e for e in read_outcomes(data) if e["outcome"] != "missed"]
    assert len({each["uuid"] for each in outcomes}) == len(outcomes)
    assert {each["outcome"] for each in outcomes} == {"traced", "copied"}
    files = read_files(data)
    assert {lines[0]["UUID"] for lines in files.values()} == {
        each["uuid"] for each in outcomes
    }
    assert find_least_pause(outcomes) >= cache_seconds
