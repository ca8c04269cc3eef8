"""Paths that are followed beyond the last TTL of a plan, while replies ask for it."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from anabranch.local.score import tell
from onesurvey import judge, open_run, read_links
from parts import find_replies, predict_replies, read_parts
from proberruns import TUNNEL, capture, dissect, probe
from probing import command, write_plan
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

LAST, FILL, FLOWS = 5, 24, 2


def list_targets(prefixes: int, protocol: str, *, v6: bool = False) -> list[str]:
    """So many /24s, or /64s, up to a TTL that most paths go beyond."""
    names = [f"240.0.{i}.0/24" for i in range(prefixes)]
    if v6:
        names = [f"3fff:0:0:{i:x}::/64" for i in range(prefixes)]
    return [f"{name},{protocol},1,{LAST},{FLOWS}" for name in names]


@pytest.mark.parametrize("protocol", ["udp", "tcpAck"])
def test_paths_are_followed_to_where_nobody_answers(
    protocol: str, tmp_path: Path
) -> None:
    """And not further than that, nor beyond the limit; in both families."""
    world = World(100, 50, switches={"open-ports": 0})
    targets = list_targets(100, protocol) + list_targets(50, protocol, v6=True)
    plan = write_plan(tmp_path / "plan.parquet", targets, fill_ttl=FILL)
    words = command(plan, tmp_path / "parts", rate=4_000, part_probes=300)
    (statistics,) = probe(world, words)
    predicted = predict_replies(world.simulation, plan, fill_ttl=FILL)
    assert find_replies(tmp_path / "parts") == predicted
    beyond = [ttl for _, _, _, ttl in predicted if ttl > LAST]
    assert len(beyond) > 500
    further = statistics["sent"] - plan.units
    # Each of them was asked for by a reply, and the last one of a path has none.
    assert len(beyond) < further < len(beyond) + 150 * FLOWS
    assert statistics["unplanned"] == statistics["late"] == 0


KILLER = """
import pathlib, random, subprocess, sys, time
chance, parts, command = random.Random(7), pathlib.Path(sys.argv[1]), sys.argv[2:]
def count():
    return sum(1 for _ in parts.rglob("*.parquet"))
for _ in range(10):
    before = count()
    prober = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while prober.poll() is None and count() == before:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.3))
    STOP
    prober.wait()
subprocess.run(command, check=True)
"""


@pytest.mark.parametrize("stop", ["kill", "terminate"])
def test_whatever_ends_a_prober_no_further_probe_is_lost(
    stop: str, tmp_path: Path
) -> None:
    """A part is written when all that its replies ask for was sent and waited for."""
    world = World(100, 0, switches={"delay": 0.1})
    plan = write_plan(
        tmp_path / "plan.parquet", list_targets(100, "udp"), fill_ttl=FILL
    )
    parts = tmp_path / "parts"
    words = command(plan, parts, wait_seconds=0.3, part_probes=40, rate=400)
    script = KILLER.replace("STOP", f"prober.{stop}()")
    json.loads(world.run("python3", "-c", script, str(parts), *words).splitlines()[-1])
    assert len(list(parts.rglob("*.parquet"))) > 10
    predicted = predict_replies(world.simulation, plan, fill_ttl=FILL)
    assert find_replies(parts) == predicted


def test_further_probes_keep_to_limits_and_rates(tmp_path: Path) -> None:
    """To each prefix, to all, and beyond the highest TTL: a capture proves it."""
    world = World(20, 0)
    plan = write_plan(tmp_path / "plan.parquet", list_targets(20, "udp"), fill_ttl=FILL)
    words = command(
        *(plan, tmp_path / "parts"),
        rate=200,
        max_rate_per_prefix=20,
        max_ttl=LAST + 3,
        forbidden=["240.0.7.0/24"],
    )
    file = tmp_path / "sent.pcap"
    statistics = capture(world, words, file)
    sent = dissect(file, "udp", "frame.time_epoch", "ip.dst", "ip.ttl")
    assert len(sent) == statistics["sent"] > 20 * LAST * FLOWS
    assert {int(ttl) for *_, ttl in sent} == set(range(1, LAST + 4))
    # Those of the plan, and those that replies ask for at the highest TTL.
    assert statistics["forbidden"] > LAST * FLOWS
    times = defaultdict(list)
    for time, destination, _ in sent:
        times[destination.rpartition(".")[0]].append(float(time))
    assert "240.0.7" not in times
    gaps = [after - time for each in times.values() for time, after in pairwise(each)]
    assert min(gaps) > 0.049
    all_times = [float(time) for time, *_ in sent]
    windows = zip(all_times, all_times[22:], strict=False)
    assert all(end - start > 0.099 for start, end in windows)


def test_who_repeats_replies_does_not_multiply_probes(tmp_path: Path) -> None:
    """Each TTL of a flow is probed once, however often the one before is answered."""
    lines = ["240.9.0.0/24,udp,1,10,2"]
    plan = write_plan(tmp_path / "plan.parquet", lines, fill_ttl=20)
    words = command(plan, tmp_path / "parts", part_probes=20)
    script = f"REPLIES = 5{TUNNEL}"
    statistics = json.loads(World(10, 0).run("python3", "-c", script, *words))
    assert statistics["sent"] == 40
    assert statistics["replies"] == len(read_parts(tmp_path / "parts")) == 80
    assert statistics["excess"] == 120


def test_a_survey_of_yarrp_fills(tmp_path: Path) -> None:
    """Up to the agent's highest TTL: it finds what its rule finds in process."""
    world = World(32, 0)
    manifests = write_manifests(
        tmp_path / "manifests",
        ["240.0.0.0/19,udp,1,6,1"],
        tool={"yarrp": {"fillTtl": 32}},
        agent={"maxTtl": 12},
    )
    survey(world, manifests, tmp_path / "data")
    found = read_links(tmp_path / "data", tmp_path / "links.csv")
    (assignment,) = (its := judge(world, manifests)).assignments
    links = its.rehearse_one(assignment, tmp_path).links
    assert {(tell(near), tell(far)) for near, far in found} == links
    replies = read_parts(tmp_path / "data" / open_run(tmp_path / "data").root)
    replies = [row for row in replies if "probe_ttl" in row]
    assert max(row["probe_ttl"] for row in replies) == 12
    with (tmp_path / "links.csv").open(newline="") as rows:
        ends = [int(row["max_near_ttl"]) for row in csv.DictReader(rows)]
    assert max(ends) == 11
