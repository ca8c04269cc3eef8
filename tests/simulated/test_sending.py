"""What a prober sends, on the wire: when, where to, and what it looks like."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import pytest

from parts import read_parts
from proberruns import FLOWS, TTLS, TUNNEL, capture, dissect, lines
from probing import command, write_plan
from world import World

if TYPE_CHECKING:
    from pathlib import Path

BATCH = 64
"""Probes that may be on their way to the kernel when something changes."""


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
    sent = dissect(file, "udp", "frame.time_epoch", "ip.dst", "ip.ttl")
    destinations = [destination for _, destination, _ in sent]
    assert not any(d.startswith("240.0.7.") for d in destinations)
    assert all(
        int(d.rpartition(".")[2]) < 128 for d in destinations if d[:8] == "240.0.0."
    )
    assert {int(ttl) for _, _, ttl in sent} == set(range(3, 16))
    high = [float(t) for t, d, _ in sent if 64 <= int(d.split(".")[2]) < 128]
    assert high
    assert sum(time > statistics["changed_at"] for time in high) <= BATCH
    sent_v6 = dissect(file, "icmpv6.type == 128", "ipv6.dst", "ipv6.hlim")
    assert len(sent) + len(sent_v6) == statistics["sent"]
    assert {address.split(":")[3] for address, _ in sent_v6}.isdisjoint("4567")
    assert {int(hops) for _, hops in sent_v6} == set(range(3, 16))


@pytest.mark.parametrize("rate", [50, 1_000, 20_000])
def test_no_window_holds_more_probes_than_the_rate_allows(
    rate: int, tmp_path: Path
) -> None:
    """At most a tenth of the rate and one more in 100 ms.

    The mean is the rate, but for the time by which the prober says it was held up.
    """
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
    assert 0.98 * rate <= (len(times) - 1) / took
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
    assert median(gaps) <= 0.03


def test_another_cap_for_prefixes_is_obeyed_at_once(tmp_path: Path) -> None:
    """The gap that was under way is over, and the next one has the new length."""
    plan = write_plan(tmp_path / "plan.parquet", lines(3))
    file = tmp_path / "sent.pcap"
    options = {"rate": 1_000, "max_rate_per_prefix": 20}
    words = command(
        plan, tmp_path / "parts", **options, then={"max_rate_per_prefix": 2.5}
    )
    words = ["timeout", "--signal=TERM", "4", *words]
    changed = capture(World(100, 0), words, file)["changed_at"]
    sent = dissect(file, "udp", "frame.time_epoch", "ip.dst")
    for prefix in {address.rpartition(".")[0] for _, address in sent}:
        times = [float(time) for time, to in sent if to.startswith(f"{prefix}.")]
        before = [b - a for a, b in pairwise(times) if b < changed]
        after = [b - a for a, b in pairwise(times) if a > changed]
        assert min(before) >= 0.0499
        assert median(before) <= 0.1
        assert min(after) >= 0.399


def test_another_rate_or_a_stop_is_obeyed_at_once(tmp_path: Path) -> None:
    """What was taken for sending goes out, and no more than the rate allows."""
    world = World(1000, 0)
    plan = write_plan(tmp_path / "plan.parquet", lines(1000))
    file = tmp_path / "sent.pcap"
    words = command(plan, tmp_path / "slow", rate=5_000, then={"rate": 100})
    statistics = capture(world, ["timeout", "--signal=TERM", "4", *words], file)
    times = [float(time) for (time,) in dissect(file, "udp", "frame.time_epoch")]
    after = [time for time in times if time > statistics["changed_at"]]
    took = after[-1] - statistics["changed_at"]
    assert 0 < len(after) <= BATCH + 100 * took + 11
    words = command(plan, tmp_path / "stopped", rate=5_000, then={"stop": True})
    statistics = capture(world, words, file)
    times = [float(time) for (time,) in dissect(file, "udp", "frame.time_epoch")]
    assert 0 < statistics["sent"] == len(times) < 1_000 * TTLS * FLOWS
    assert sum(time > statistics["changed_at"] for time in times) <= BATCH


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


def test_a_link_without_ethernet_carries_probes_too(tmp_path: Path) -> None:
    """A tunnel, whose far end quotes no more than 28 bytes."""
    plan = write_plan(tmp_path / "plan.parquet", ["240.9.0.0/24,udp,1,20,2"])
    words = command(plan, tmp_path / "parts")
    script = f"REPLIES = 1{TUNNEL}"
    statistics = json.loads(World(10, 0).run("python3", "-c", script, *words))
    assert statistics["sent"] == statistics["replies"] == 40
    assert {row["rtt_us"] < 100_000 for row in read_parts(tmp_path / "parts")} == {True}
