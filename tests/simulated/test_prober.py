"""What a prober sends and what it makes of the replies, on real packets."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from anabranch_engine import Part

from parts import find_replies, predict_replies, read_parts
from probing import DPORT, command, write_plan
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TTLS, FLOWS = 20, 2


def lines(prefixes: int, protocol: str = "udp", flows: int = FLOWS) -> list[str]:
    """So many /24s, or /64s for icmp6."""
    if protocol == "icmp6":
        names = [f"3fff:0:0:{i:x}::/64" for i in range(prefixes)]
    else:
        names = [f"240.{i >> 8}.{i & 255}.0/24" for i in range(prefixes)]
    return [f"{name},{protocol},1,{TTLS},{flows}" for name in names]


def probe(world: World, *commands: list[str]) -> list[dict[str, int]]:
    """Runs a prober at each vantage point at once; their statistics."""
    script = " & ".join(
        f"ip netns exec vp{number} {shlex.join(words)}"
        for number, words in enumerate(commands, 1)
    )
    output = world.run("sh", "-c", f"{script} & wait")
    statistics = [json.loads(line) for line in output.splitlines()]
    assert len(statistics) == len(commands)
    return statistics


def capture(world: World, words: list[str], file: Path) -> dict[str, int]:
    """The same at the first, whose packets are captured to a file."""
    script = (
        f"tcpdump --immediate-mode -U -B 65536 -i eth0 -w {file} -Q out 2>/dev/null & "
        f"sleep 1; {shlex.join(words)}; sleep 0.3; kill %1; wait"
    )
    statistics: dict[str, int] = json.loads(world.run("bash", "-c", script))
    return statistics


def dissect(file: Path, display_filter: str, *fields: str) -> list[list[str]]:
    """The fields of the packets of a capture, as tshark has them."""
    wanted = [word for field in fields for word in ("-e", field)]
    checks = ("ip", "udp")
    options = [word for c in checks for word in ("-o", f"{c}.check_checksum:TRUE")]
    # Else it would guess what protocol a payload is, and find it malformed.
    options += ["-d", f"udp.port=={DPORT},echo"]
    done = subprocess.run(
        [
            *("tshark", "-r", str(file), *options),
            *("-Y", display_filter, "-T", "fields", *wanted),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("prefixes", "rate"), [(100, 1_000), (10_000, 100_000)], ids=["few", "many"]
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
    world = World(2_000, 0, switches={"hosts": 1.0, "silent-routers": 0.0})
    plan = write_plan(tmp_path / "plan.parquet", lines(2_000, flows=25))
    words = command(
        *(plan, tmp_path / "parts"),
        rate=10_000_000,
        max_rate_per_prefix=1_000_000,
        wait_seconds=1,
    )
    done = subprocess.run(
        [*world.command, *words], capture_output=True, text=True, check=True, timeout=60
    )
    statistics = json.loads(done.stdout)
    lost = re.search(r"it lost ([\d,]+) frames", done.stderr)
    missing = int(lost[1].replace(",", "")) if lost else 0
    missing += statistics["dropped"] + statistics["late"]
    assert statistics["sent"] == 2_000 * TTLS * 25 - statistics["unsent"]
    # What the simulator lost may also have been the kernel's, such as a solicitation.
    unanswered = statistics["sent"] - statistics["replies"]
    assert unanswered <= missing <= unanswered + 20
    assert len(find_replies(tmp_path / "parts")) == statistics["replies"]


KILLER = """
import random, subprocess, sys, time
chance, command = random.Random(7), sys.argv[1:]
for _ in range(100):
    prober = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(chance.uniform(0.1, 0.5))
    prober.kill()
    prober.wait()
subprocess.run(command, check=True)
"""


def test_a_hundred_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """All parts together are what an uninterrupted run gives."""
    world = World(100, 100, switches={"delay": 0.1})
    targets = lines(100) + lines(100, "icmp6")
    plan = write_plan(tmp_path / "plan.parquet", targets)
    words = command(
        plan, tmp_path / "parts", wait_seconds=0.1, part_probes=50, rate=400
    )
    statistics = json.loads(world.run("python3", "-c", KILLER, *words))
    assert 0 < statistics["sent"] < 2 * 100 * TTLS * FLOWS
    assert len(list((tmp_path / "parts").rglob("*.parquet"))) > 50
    assert not list((tmp_path / "parts").rglob("*.unfinished"))
    assert find_replies(tmp_path / "parts") == predict_replies(world.simulation, plan)


def test_a_stop_closes_the_part_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """By SIGTERM here; no probe is sent twice."""
    world = World(100, 100)
    plan = write_plan(tmp_path / "plan.parquet", lines(100))
    words = shlex.join(command(plan, tmp_path / "parts"))
    script = f"{words} & sleep 2; kill $!; wait; {words}"
    first, second = map(json.loads, world.run("sh", "-c", script).splitlines())
    assert first["sent"] > 500
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


def test_nothing_forbidden_is_sent_whatever_the_plan_says(tmp_path: Path) -> None:
    """Addresses, TTLs, and what becomes forbidden later: a capture proves it."""
    world = World(200, 10)
    targets = lines(200) + lines(10, "icmp6")
    plan = write_plan(tmp_path / "plan.parquet", targets)
    forbidden = ["240.0.0.128/25", "240.0.7.0/24", "3fff:0:0:4::/62"]
    later = [*forbidden, "240.0.64.0/18"]
    words = command(
        *(plan, tmp_path / "parts"),
        forbidden=forbidden,
        min_ttl=3,
        max_ttl=15,
        rate=2_000,
        max_rate_per_prefix=1_000,
        then={"forbidden": later},
    )
    file = tmp_path / "sent.pcap"
    statistics = capture(world, words, file)
    all_of_it = plan.draw(0, order="test")
    assert statistics["sent"] + statistics["forbidden"] == len(all_of_it)
    sent = dissect(file, "udp", "frame.time_relative", "ip.dst", "ip.ttl")
    start = float(sent[0][0])
    destinations = [destination for _, destination, _ in sent]
    assert not any(d.startswith("240.0.7.") for d in destinations)
    assert all(
        int(d.rpartition(".")[2]) < 128 for d in destinations if d[:8] == "240.0.0."
    )
    assert {int(ttl) for _, _, ttl in sent} == set(range(3, 16))
    high = [float(t) for t, d, _ in sent if 64 <= int(d.split(".")[2]) < 128]
    assert high
    assert max(high) - start < 1.2
    sent_v6 = dissect(file, "icmpv6.type == 128", "ipv6.dst", "ipv6.hlim")
    assert len(sent) + len(sent_v6) == statistics["sent"]
    assert {address.split(":")[3] for address, _ in sent_v6}.isdisjoint("4567")
    assert {int(hops) for _, hops in sent_v6} == set(range(3, 16))


@pytest.mark.parametrize("rate", [50, 1_000, 20_000])
def test_no_window_holds_more_probes_than_the_rate_allows(
    rate: int, tmp_path: Path
) -> None:
    """At most a tenth of the rate and one more in 100 ms; the mean within 1 %."""
    world = World(1000, 0)
    plan = write_plan(tmp_path / "plan.parquet", [f"240.0.0.0/14,udp,1,20,{FLOWS}"])
    seconds = 4
    words = command(plan, tmp_path / "parts", rate=rate, part_seconds=1)
    words = ["timeout", "--signal=TERM", str(seconds), *words]
    file = tmp_path / "sent.pcap"
    statistics = capture(world, words, file)
    times = [float(time) for (time,) in dissect(file, "udp", "frame.time_epoch")]
    assert len(times) == statistics["sent"]
    most = -(-rate // 10) + 1
    assert all(
        late - early >= 0.1 for early, late in zip(times, times[most:], strict=False)
    )
    took = times[-1] - times[0] - statistics["stalled_us"] / 1e6
    assert 0.99 * rate <= (len(times) - 1) / took
    assert (len(times) - 1) / (times[-1] - times[0]) <= rate * 1.001


def test_a_prefix_is_not_probed_more_often_than_its_cap(tmp_path: Path) -> None:
    """However high the rate is, few the prefixes are, and many the protocols."""
    world = World(100, 0)
    both = [f"240.0.{i}.0/24,icmp,1,{TTLS},{FLOWS}" for i in range(3)]
    plan = write_plan(tmp_path / "plan.parquet", lines(3) + both)
    words = command(plan, tmp_path / "parts", rate=100_000, max_rate_per_prefix=50)
    file = tmp_path / "sent.pcap"
    assert capture(world, words, file)["sent"] == 2 * 3 * TTLS * FLOWS
    times: dict[str, list[float]] = {}
    wanted = ("frame.time_epoch", "ip.dst")
    for time, destination in dissect(file, "udp or icmp.type == 8", *wanted):
        times.setdefault(destination.rpartition(".")[0], []).append(float(time))
    gaps = [b - a for all_of in times.values() for a, b in pairwise(all_of)]
    assert min(gaps) >= 0.0199
    assert max(gaps) <= 0.03


def test_another_cap_for_prefixes_is_obeyed_at_once(tmp_path: Path) -> None:
    """The gap that was under way is over, and the next one has the new length."""
    plan = write_plan(tmp_path / "plan.parquet", lines(3))
    file = tmp_path / "sent.pcap"
    options = {"rate": 1_000, "max_rate_per_prefix": 20}
    words = command(
        plan, tmp_path / "parts", **options, then={"max_rate_per_prefix": 2.5}
    )
    capture(World(100, 0), ["timeout", "--signal=TERM", "4", *words], file)
    sent = dissect(file, "udp", "frame.time_relative", "ip.dst")
    for prefix in {address.rpartition(".")[0] for _, address in sent}:
        times = [float(time) for time, to in sent if to.startswith(f"{prefix}.")]
        changed = 1.5
        before = [b - a for a, b in pairwise(times) if b - times[0] < 1]
        after = [b - a for a, b in pairwise(times) if a - times[0] > changed]
        assert min(before) >= 0.0499
        assert max(before) <= 0.1
        assert min(after) >= 0.399


def test_another_rate_or_a_stop_is_obeyed_at_once(tmp_path: Path) -> None:
    """Within a tenth of a second."""
    world = World(1000, 0)
    plan = write_plan(tmp_path / "plan.parquet", lines(1000))
    file = tmp_path / "sent.pcap"
    words = command(plan, tmp_path / "slow", rate=5_000, then={"rate": 100})
    capture(world, ["timeout", "--signal=TERM", "4", *words], file)
    times = [float(time) for (time,) in dissect(file, "udp", "frame.time_relative")]
    after = [time for time in times if time - times[0] > 1.2]
    assert 0 < len(after) < 400
    words = command(plan, tmp_path / "stopped", rate=5_000, then={"stop": True})
    statistics = capture(world, words, file)
    times = [float(time) for (time,) in dissect(file, "udp", "frame.time_relative")]
    assert 3_000 < statistics["sent"] == len(times) < 6_000


def test_probes_are_well_formed_and_say_who_sends_them(tmp_path: Path) -> None:
    """Of each protocol and family, says tshark."""
    world = World(20, 20)
    targets = [
        "240.0.0.0/28,udp,1,32,3",
        "240.0.1.0/28,icmp,1,32,3",
        "3fff::/64,udp,1,32,3",
        "3fff:0:0:1::/64,icmp6,1,32,3",
    ]
    plan = write_plan(tmp_path / "plan.parquet", targets)
    file = tmp_path / "sent.pcap"
    contact = "probing@example.org"
    capture(world, command(plan, tmp_path / "parts", contact=contact), file)
    probes = f'frame contains "{contact}"'
    assert len(dissect(file, probes, "frame.number")) == 4 * 32 * 3
    bad = ("ip.checksum.status", "udp.checksum.status", "icmp.checksum.status")
    bad_or_malformed = " or ".join(f'{name} == "Bad"' for name in bad)
    bad_or_malformed += ' or icmpv6.checksum.status == "Bad" or _ws.malformed'
    shown = dissect(file, bad_or_malformed, "frame.protocols", "_ws.expert.message")
    assert shown == []
    for kind in ("icmp.checksum", "icmpv6.checksum"):
        flows = dissect(file, f"{kind} and {probes}", kind)
        assert {int(checksum, 16) for (checksum,) in flows} == {24000}


def refusal(world: World, words: list[str], before: str = "true") -> str:
    """What a prober that can't run says last."""
    script = f"{before} && {shlex.join(words)}"
    done = subprocess.run(
        [*world.command, "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
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
    slow = command(plan, tmp_path / "shared", rate=10)
    told = refusal(world, slow, f"{{ {shlex.join(slow)} & sleep 1; }}")
    assert f"{tmp_path}/shared: another prober writes there" in told


def test_shards_are_disjoint_and_make_the_whole(tmp_path: Path) -> None:
    """Each vantage point probes blocks of its own."""
    everybody = {"hosts": 1.0, "silent-routers": 0.0}
    world = World(300, 0, vantage_points=2, switches=everybody)
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


def test_each_prefix_leaves_by_the_way_that_the_kernel_names(tmp_path: Path) -> None:
    """By another gateway, or not at all, which is counted."""
    world = World(100, 0)
    plan = write_plan(tmp_path / "plan.parquet", lines(10))
    file = tmp_path / "sent.pcap"
    words = shlex.join(command(plan, tmp_path / "parts"))
    routes = """
        ip neighbour add 198.18.0.9 lladdr 02:00:00:00:00:09 dev eth0
        ip route add 240.0.3.0/24 via 198.18.0.9 dev eth0 onlink
        ip route add blackhole 240.0.4.0/24
        ip route add unreachable 240.0.5.0/24
        ip route add 240.0.6.0/24 dev eth0
    """
    statistics = capture(world, ["sh", "-c", f"{routes}{words}"], file)
    assert statistics["unroutable"] == 3 * TTLS * FLOWS
    assert statistics["sent"] == 7 * TTLS * FLOWS
    sent = dissect(file, "udp", "ip.dst", "eth.dst")
    to = {
        gateway: {
            int(destination.split(".")[2]) for destination, to in sent if to == gateway
        }
        for gateway in {gateway for _, gateway in sent}
    }
    assert to.pop("02:00:00:00:00:09") == {3}
    assert list(to.values()) == [{0, 1, 2, 7, 8, 9}]


TUNNEL = """
import fcntl, os, select, socket, struct, subprocess, sys, time
tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH", b"tun7", 0x1001))
for words in ("link set tun7 up", "address add 192.0.2.1/32 dev tun7",
              "route replace 240.9.0.0/16 dev tun7 src 192.0.2.1"):
    subprocess.run(["ip", *words.split()], check=True)
prober = subprocess.Popen(sys.argv[1:])
got = []
while prober.poll() is None:
    if select.select([tunnel], [], [], 0.1)[0]:
        packet = os.read(tunnel, 2000)
        if packet[0] >> 4 != 4:
            continue  # the kernel looks for IPv6 neighbours
        got.append((packet[8], packet[12:16], packet[16:18]))
        # The far end answers as a router would: 28 bytes are enough.
        error = bytes([11, 0, 0, 0, 0, 0, 0, 0]) + packet[:28]
        total = sum(struct.unpack(f"!{len(error) // 2}H", error))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        error = error[:2] + struct.pack("!H", 0xFFFF - total) + error[4:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(error), 0, 0, 60, 1, 0,
                           bytes([192, 0, 2, 99]), packet[12:16])
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        head = head[:10] + struct.pack("!H", 0xFFFF - total) + head[12:]
        for _ in range(REPLIES):
            os.write(tunnel, head + error)
assert prober.returncode == 0
assert {ttl for ttl, _, _ in got} == set(range(1, 21)), got
assert {source for _, source, _ in got} == {bytes([192, 0, 2, 1])}
assert {net for _, _, net in got} == {bytes([240, 9])}
"""


def test_a_link_without_ethernet_carries_probes_too(tmp_path: Path) -> None:
    """A tunnel, whose far end quotes no more than 28 bytes."""
    plan = write_plan(tmp_path / "plan.parquet", ["240.9.0.0/24,udp,1,20,2"])
    words = command(plan, tmp_path / "parts")
    script = f"REPLIES = 1{TUNNEL}"
    statistics = json.loads(World(10, 0).run("python3", "-c", script, *words))
    assert statistics["sent"] == statistics["replies"] == 40
    assert {row["rtt_us"] < 100_000 for row in read_parts(tmp_path / "parts")} == {True}


def test_who_repeats_replies_can_not_fill_the_memory(tmp_path: Path) -> None:
    """A part keeps two replies for each of its probes, and the rest is counted."""
    plan = write_plan(tmp_path / "plan.parquet", ["240.9.0.0/24,udp,1,20,2"])
    words = command(plan, tmp_path / "parts", part_probes=20)
    script = f"REPLIES = 5{TUNNEL}"
    statistics = json.loads(World(10, 0).run("python3", "-c", script, *words))
    assert statistics["sent"] == 40
    assert statistics["replies"] == len(read_parts(tmp_path / "parts")) == 80
    assert statistics["excess"] == 120
