"""What a prober makes of replies, and of what ends it, on real packets."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from anabranch_engine import Part

from parts import find_replies, predict_replies, read_parts
from proberruns import FLOWS, TTLS, TUNNEL, lines, probe
from probing import command, write_plan
from surveying import ONCE_IT_PROBES
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("prefixes", "rate"), [(100, 1_000), (1_500, 20_000)], ids=["few", "many"]
)
def test_replies_are_exactly_those_that_the_truth_predicts(
    prefixes: int, rate: int, tmp_path: Path
) -> None:
    """In IPv4 and IPv6, from two vantage points at once, one behind translation."""
    world = World(prefixes, prefixes, vantage_points=2)
    targets = lines(prefixes) + lines(prefixes, "icmp6")
    plan = write_plan(tmp_path / "plan.parquet", targets)
    folders = [tmp_path / "vp1", tmp_path / "vp2"]
    commands = [
        command(plan, folder, order=folder.name, rate=rate) for folder in folders
    ]
    for statistics in probe(world, *commands):
        assert statistics["sent"] == 2 * prefixes * TTLS * FLOWS
        assert statistics["dropped"] == statistics["unsent"] == 0
        assert statistics["forged"] == statistics["unplanned"] == 0
    for vantage_point, folder in enumerate(folders):
        predicted = predict_replies(world.simulation, plan, vantage_point)
        assert find_replies(folder) == predicted


def test_at_full_speed_each_missing_reply_is_accounted_for(tmp_path: Path) -> None:
    """By the prober's statistics, or as a loss of the simulator."""
    world = World(2_000, 0, switches=ANSWERING)
    plan = write_plan(tmp_path / "plan.parquet", lines(2_000, flows=10))
    words = command(
        *(plan, tmp_path / "parts"),
        rate=10_000_000,
        max_rate_per_prefix=1_000_000,
        wait_seconds=1,
    )
    done = subprocess.run(
        [*world.command, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    statistics = json.loads(done.stdout)
    lost = re.search(r"it lost ([\d,]+) frames", done.stderr)
    missing = int(lost[1].replace(",", "")) if lost else 0
    missing += statistics["dropped"] + statistics["late"]
    assert statistics["sent"] == 2_000 * TTLS * 10 - statistics["unsent"]
    # What the simulator lost may also have been the kernel's, such as a solicitation.
    unanswered = statistics["sent"] - statistics["replies"]
    assert unanswered <= missing <= unanswered + 20
    assert len(find_replies(tmp_path / "parts")) == statistics["replies"]


KILLER = """
import pathlib, random, subprocess, sys, time
chance, parts, command = random.Random(7), pathlib.Path(sys.argv[1]), sys.argv[2:]
def count():
    return sum(1 for _ in parts.rglob("*.parquet"))
for _ in range(50):
    before = count()
    prober = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while prober.poll() is None and count() == before:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.1))
    prober.kill()
    prober.wait()
subprocess.run(command, check=True)
"""


def test_fifty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """All parts together are what an uninterrupted run gives."""
    world = World(100, 100, switches={"delay": 0.1})
    targets = lines(100) + lines(100, "icmp6")
    plan = write_plan(tmp_path / "plan.parquet", targets)
    words = command(
        plan, tmp_path / "parts", wait_seconds=0.3, part_probes=50, rate=400
    )
    statistics = json.loads(
        world.run("python3", "-c", KILLER, str(tmp_path / "parts"), *words)
    )
    assert 0 < statistics["sent"] < 2 * 100 * TTLS * FLOWS
    assert len(list((tmp_path / "parts").rglob("*.parquet"))) > 50
    assert not list((tmp_path / "parts").rglob("*.unfinished"))
    assert find_replies(tmp_path / "parts") == predict_replies(world.simulation, plan)


def test_a_stop_closes_the_part_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """By SIGTERM here; no probe is sent twice."""
    world = World(100, 100)
    plan = write_plan(tmp_path / "plan.parquet", lines(100))
    words = shlex.join(command(plan, tmp_path / "parts"))
    script = f"{words} & {ONCE_IT_PROBES}; kill $!; wait; {words}"
    first, second = map(json.loads, world.run("sh", "-c", script).splitlines())
    assert first["sent"] > 0
    assert second["sent"] == 100 * TTLS * FLOWS - first["sent"]
    assert find_replies(tmp_path / "parts") == predict_replies(world.simulation, plan)


def test_a_run_goes_on_behind_parts_that_are_elsewhere(tmp_path: Path) -> None:
    """Where each block's parts begin is said; parts before that are not looked for."""
    world = World(100, 0)
    plan = write_plan(tmp_path / "plan.parquet", lines(100), blocks=2)
    folder, away = tmp_path / "parts", tmp_path / "away"
    words = command(plan, folder, part_probes=300, rate=2_000)
    words = ["timeout", "--signal=TERM", "1.5", *words]
    script = f"{shlex.join(words)} || true"
    first = json.loads(world.run("sh", "-c", script))
    folder.rename(away)
    ends = {
        head.block: head.end
        for file in sorted(away.glob("*/*.parquet"))
        for head in [Part.read(file.read_bytes())]
    }
    again = command(plan, folder, rate=2_000, begin=list(ends.items()))
    (second,) = probe(world, again)
    assert first["sent"] > 300
    assert first["sent"] + second["sent"] == 100 * TTLS * FLOWS
    assert find_replies(away).keys().isdisjoint(find_replies(folder))
    both = find_replies(away) | find_replies(folder)
    assert both == predict_replies(world.simulation, plan)
    # A prober begins there, and nowhere else.
    assert "is missing, and parts behind it" in refusal(world, command(plan, folder))
    beyond = command(plan, tmp_path / "beyond", begin=[(0, 1 << 40)])
    assert "can't begin with 1099511627776" in refusal(world, beyond)


def refusal(world: World, words: list[str], before: str = "true") -> str:
    """What a prober that can't run says last."""
    script = f"{before} && {shlex.join(words)}"
    done = subprocess.run(
        [*world.command, "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode != 0
    return done.stderr.splitlines()[-1]


def test_what_the_machine_does_not_let_it_do_is_told_with_the_remedy(
    tmp_path: Path,
) -> None:
    """Rights, routes, interfaces and space; a gateway that is not there."""
    world = World(100, 0)
    plan = write_plan(tmp_path / "plan.parquet", lines(100))
    words = command(plan, tmp_path / "parts", rate=10_000, part_probes=500)
    no_right = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *words]
    assert "PermissionError: can't open a packet socket" in refusal(world, no_right)
    assert "run as root, or grant it" in refusal(world, no_right)
    away = write_plan(tmp_path / "away.parquet", ["192.0.2.0/24,udp,1,20,1"])
    assert "there is no route to 192.0.2." in refusal(world, command(away, tmp_path))
    elsewhere = command(plan, tmp_path / "parts", interface="eth7")
    assert "there is no interface eth7; name another" in refusal(world, elsewhere)
    gateway = "ip route add 192.0.2.0/24 via 198.18.0.9 onlink dev eth0"
    told = refusal(world, command(away, tmp_path), gateway)
    assert "the gateway 198.18.0.9 does not answer" in told
    neighbour = "ip route add 192.0.2.0/24 dev eth0"
    told = refusal(world, command(away, tmp_path), neighbour)
    assert "no gateway leads to 192.0.2." in told
    full = (
        f"mkdir -p {tmp_path}/parts && mount -t tmpfs -o size=64k none {tmp_path}/parts"
    )
    assert "No space left on device" in (told := refusal(world, words, full))
    assert "free some space and go on" in told
    no_folder = refusal(world, command(plan, plan.path))
    assert no_folder.endswith("; name a folder for parts")


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """Of another plan, in another order, with one missing, or with two who write."""
    world = World(20, 0, switches={"delay": 0.1})
    plan = write_plan(tmp_path / "plan.parquet", lines(20))
    folder = tmp_path / "parts"
    words = command(plan, folder, part_probes=100, wait_seconds=0.1)
    probe(world, words)
    another = write_plan(tmp_path / "another.parquet", lines(19))
    told = refusal(world, command(another, folder))
    assert f"{folder}/00000/0000000000000000.parquet is a part of another plan" in told
    assert "of another plan" in refusal(world, command(plan, folder, order="vp9"))
    assert "named twice" in refusal(world, command(plan, folder, blocks=[0, 0]))
    (folder / "00000" / "0000000000000000.parquet").unlink()
    assert "0000000000000000.parquet is missing" in refusal(world, words)
    slow = command(plan, tmp_path / "shared", rate=10, part_probes=5)
    writes = f"until ls {tmp_path}/shared/*/*.parquet; do sleep 0.1; done"
    told = refusal(world, slow, f"{{ {shlex.join(slow)} & {writes}; }}")
    assert f"{tmp_path}/shared: another prober writes there" in told


def test_shards_are_disjoint_and_make_the_whole(tmp_path: Path) -> None:
    """Each vantage point probes blocks of its own."""
    world = World(300, 0, vantage_points=2, switches=ANSWERING)
    plan = write_plan(tmp_path / "plan.parquet", lines(300), blocks=5)
    shards = {"one": [0, 3], "other": [1, 2, 4]}
    commands = [
        command(plan, tmp_path / name, blocks=blocks, rate=10_000)
        for name, blocks in shards.items()
    ]
    both = probe(world, *commands)
    assert sum(statistics["sent"] for statistics in both) == 300 * TTLS * FLOWS
    one, other = (find_replies(tmp_path / name) for name in shards)
    assert one.keys().isdisjoint(other)
    assert (one | other).keys() == predict_replies(world.simulation, plan).keys()


def test_who_repeats_replies_can_not_fill_the_memory(tmp_path: Path) -> None:
    """A part keeps two replies for each of its probes, and the rest is counted."""
    plan = write_plan(tmp_path / "plan.parquet", ["240.9.0.0/24,udp,1,20,2"])
    words = command(plan, tmp_path / "parts", part_probes=20)
    script = f"REPLIES = 5{TUNNEL}"
    statistics = json.loads(World(10, 0).run("python3", "-c", script, *words))
    assert statistics["sent"] == 40
    assert statistics["replies"] == len(read_parts(tmp_path / "parts")) == 80
    assert statistics["excess"] == 120
