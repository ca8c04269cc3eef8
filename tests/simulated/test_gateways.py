"""By which gateway probes leave, and what becomes of them when it changes."""

from __future__ import annotations

import json
import shlex
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from parts import find_replies, predict_replies, read_address, read_parts
from proberruns import FLOWS, TTLS, capture, dissect, lines
from probing import command, write_plan
from world import World

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from anabranch_engine import Plan

FIRST, SECOND = "02:ab:72:61:6e:01", "02:ab:72:61:6e:02"
# A link that leads to nobody, beside the one to the simulated Internet.
SIDE_LINK = """
ip link add up0 type veth peer name up1
ip address add 198.51.100.1/24 dev up0
ip link set up0 up; ip link set up1 up
ip neighbour add 198.51.100.2 lladdr 02:00:00:00:00:02 dev up0
"""
BOTH = (
    "ip route replace 240.0.0.0/4 nexthop via 198.18.0.1 dev eth0 "
    "nexthop via 198.51.100.2 dev up0\n"
)


def probe(
    world: World, plan: Plan, parts: Path, before: str, **options: Any
) -> dict[str, int]:
    """Runs a prober behind commands that change the vantage point."""
    words = command(plan, parts, **options)
    script = f"set -e\n{before}\nexec {shlex.join(words)}"
    statistics: dict[str, int] = json.loads(world.run("bash", "-c", script))
    return statistics


def test_probes_take_the_route_that_a_router_advertises(tmp_path: Path) -> None:
    """By its link-local address, and no route that was there before."""
    world = World(0, 50)
    plan = write_plan(tmp_path / "plan.parquet", lines(50, "icmp6"))
    learn = """
    ip -6 route flush root 3fff::/20
    ip link set eth0 down
    echo 2 > /proc/sys/net/ipv6/conf/eth0/accept_ra
    ip link set eth0 up
    until ip -6 route show default | grep -q fe80::1; do sleep 0.1; done
    """
    keep = "own=$(ip -6 -o address show dev eth0 scope global | awk '{print $4}')\n"
    back = 'ip address replace "$own" dev eth0 nodad\n'
    statistics = probe(world, plan, tmp_path / "parts", keep + learn + back)
    assert statistics["sent"] == 50 * TTLS * FLOWS
    assert find_replies(tmp_path / "parts") == predict_replies(world.simulation, plan)
    gateways = {read_address(row["gateway"]) for row in read_parts(tmp_path / "parts")}
    assert {str(gateway) for gateway in gateways} == {"fe80::1"}


def test_of_two_gateways_each_prefix_takes_one_that_is_told(tmp_path: Path) -> None:
    """On the wire as in the parts."""
    world = World(0, 50)
    plan = write_plan(tmp_path / "plan.parquet", lines(50, "icmp6"))
    both = (
        "ip -6 route replace 3fff::/20 nexthop via fe80::1 dev eth0 "
        "nexthop via fe80::2 dev eth0"
    )
    words = ["sh", "-c", f"{both} && exec {shlex.join(command(plan, tmp_path / 'p'))}"]
    statistics = capture(world, words, tmp_path / "sent.pcap")
    assert statistics["sent"] == 50 * TTLS * FLOWS
    assert find_replies(tmp_path / "p") == predict_replies(world.simulation, plan)
    macs = {"fe80::1": FIRST, "fe80::2": SECOND}
    told = {
        (row["prefix_index"], macs[str(read_address(row["gateway"]))])
        for row in read_parts(tmp_path / "p")
    }
    assert {mac for _, mac in told} == {FIRST, SECOND}
    sent = dissect(tmp_path / "sent.pcap", "icmpv6.type == 128", "ipv6.dst", "eth.dst")
    network = int(ip_address("3fff::")) >> 64
    seen = {((int(ip_address(to)) >> 64) - network, mac) for to, mac in sent}
    assert seen == told


@pytest.mark.parametrize(
    ("options", "links"),
    [
        ({}, {"eth0"}),
        ({"interface": "eth0"}, {"eth0"}),
        ({"interface": "up0"}, set()),
        ({"sources": ["198.18.0.2"]}, {"eth0"}),
        ({"sources": ["198.51.100.1"]}, set()),
    ],
    ids=["both", "interface", "other interface", "source", "other source"],
)
def test_an_interface_or_a_source_chooses_among_routes(
    options: dict[str, Any], links: set[str], tmp_path: Path
) -> None:
    """Replies come by the simulated Internet's link alone; without a choice, some."""
    world = World(50, 0)
    plan = write_plan(tmp_path / "plan.parquet", lines(50))
    rule = (
        "ip route add 240.0.0.0/4 via 198.51.100.2 dev up0 table 7\n"
        "ip route add 240.0.0.0/4 via 198.18.0.1 dev eth0 table 8\n"
        "ip rule add from 198.51.100.1 lookup 7\nip rule add from 198.18.0.2 lookup 8\n"
    )
    before = SIDE_LINK + BOTH + (rule if "sources" in options else "")
    statistics = probe(world, plan, tmp_path / "parts", before, **options)
    assert statistics["sent"] == 50 * TTLS * FLOWS
    rows = read_parts(tmp_path / "parts")
    assert {row["interface"] for row in rows} == links
    prefixes = {row["prefix_index"] for row in rows}
    if not options:
        assert 0 < len(prefixes) < 50
    else:
        assert len(prefixes) == (50 if links else 0)


def test_a_gateway_that_changes_its_ethernet_address_is_followed(
    tmp_path: Path,
) -> None:
    """Frames to the old one are for nobody from then on."""
    world = World(50, 50, switches={"gateway-change": 4.0})
    targets = lines(50) + lines(50, "icmp6")
    plan = write_plan(tmp_path / "plan.parquet", targets)
    statistics = probe(world, plan, tmp_path / "parts", "", rate=400)
    rows = read_parts(tmp_path / "parts")
    first = min(row["capture_time_us"] for row in rows)
    # Whenever the change was: it was within four seconds of the start.
    late = [row for row in rows if row["capture_time_us"] > first + 6_000_000]
    for protocol in (17, 58):
        assert [row for row in late if row["probe_protocol"] == protocol]
    assert statistics["unsent"] == 0


def test_an_interface_that_has_only_ipv6_probes_ipv6(tmp_path: Path) -> None:
    """What has no route is counted as such."""
    world = World(50, 50)
    plan = write_plan(tmp_path / "plan.parquet", lines(50) + lines(50, "icmp6"))
    before = "ip -4 address flush dev eth0"
    statistics = probe(world, plan, tmp_path / "parts", before)
    assert statistics["unroutable"] == statistics["sent"] == 50 * TTLS * FLOWS
    predicted = predict_replies(world.simulation, plan)
    assert find_replies(tmp_path / "parts") == {
        probe: reply for probe, reply in predicted.items() if probe[1].version == 6
    }
