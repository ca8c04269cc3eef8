"""Traces over TCP: what answers, and what is believed."""

from __future__ import annotations

import json
import shlex
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from parts import RESET, RESET_WITH_ACK, SYN_ACK
from tracerruns import (
    DESTINATIONS,
    QUOTING,
    SURE,
    links_of,
    tells_rewritten,
    trace,
)
from world import World, ports

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("protocol", "open_ports", "flags"),
    [("tcpSyn", 1, SYN_ACK), ("tcpSyn", 0, RESET_WITH_ACK), ("tcpAck", 1, RESET)],
)
def test_a_destination_ends_a_trace_by_its_answer(
    protocol: str, open_ports: int, flags: int
) -> None:
    """A SYN-ACK from an open port, a reset from others and to an ACK."""
    world = World(switches={"hosts": 1, "open-ports": open_ports})
    for traced in trace(world, *DESTINATIONS, "--protocol", protocol, *SURE):
        assert traced["end"] == "completed"
        replies = [probe["reply"] for probe in traced["probes"] if probe["reply"]]
        ends = [reply for reply in replies if reply["is_end"]]
        assert {reply["tcp_flags"] for reply in ends} == {flags}
        assert {reply["source"] for reply in ends} == {traced["destination"]}
        assert {reply["icmp_type"] for reply in ends} == {None}
        assert all(reply["rtt_us"] > 0 for reply in replies)


@pytest.mark.parametrize(("habit", "fields"), QUOTING)
def test_probes_are_known_however_they_are_quoted(habit: str, fields: int) -> None:
    """And it is told what a translator has rewritten; IPv6 has no identification."""
    switches = {"hosts": 1.0, "silent-routers": 0.0, "short-quotes": 0.0, habit: 1.0}
    world = World(switches=switches)
    rule = ("--algorithm", "singlePath", "--protocol", "tcpSyn", *SURE)
    for traced in trace(world, *DESTINATIONS, *rule):
        to = traced["destination"]
        flow = ports(24000, 80)
        path = [*world.path(to, protocol=6, octets=flow, labels_flows=True), to]
        assert links_of(traced) == set(pairwise(path))
        assert tells_rewritten(traced, fields)


def test_a_translated_vantage_point_is_answered(tmp_path: Path) -> None:
    """Its own address is not the one that routers quote."""
    file = tmp_path / "path.txt"
    file.write_text("127.0.0.1 240.1.0.1\n240.1.0.1 240.1.0.2\n")
    words = [sys.executable, "-m", "anabranch", "trace", "240.1.0.2", "--format=json"]
    words += ["--protocol", "tcpSyn", *SURE]
    world = World(0, 0, vantage_points=2, topologies=(file,))
    traced = json.loads(world.run("ip", "netns", "exec", "vp2", *words))
    assert links_of(traced) == {("240.1.0.1", "240.1.0.2")}


# Another kernel, behind a link: one address of each family listens on ports 80 and 81.
OPEN, CLOSED = "192.0.2.1", "192.0.2.2"
OPEN_V6, CLOSED_V6 = "2001:db8:1::1", "2001:db8:1::2"
NEIGHBOUR = f"""
set -e
ip netns add far
ip link add up0 type veth peer name up1 netns far
ip address add 198.51.100.1/24 dev up0
ip address add 2001:db8::1/64 dev up0 nodad
ip link set up0 up
ip route add 192.0.2.0/24 via 198.51.100.2
ip route add 2001:db8:1::/64 via 2001:db8::2
ip -n far address add 198.51.100.2/24 dev up1
ip -n far address add 2001:db8::2/64 dev up1 nodad
ip -n far link set lo up
for address in {OPEN} {CLOSED} {OPEN_V6} {CLOSED_V6}; do
    ip -n far address add $address dev lo
done
ip -n far link set up1 up
ip netns exec far {sys.executable} -c "$LISTENER" &
until [ $(ip netns exec far ss --listening --tcp --numeric --no-header | wc -l) = 4 ]
do sleep 0.1; done
"""
LISTENER = f"""
import socket, threading
def listen(address, port, family):
    listener = socket.create_server((address, port), family=family)
    while True:
        with listener.accept()[0] as connection:
            connection.sendall(b"hello")
for address, family in [("{OPEN}", socket.AF_INET), ("{OPEN_V6}", socket.AF_INET6)]:
    for port in (80, 81):
        threading.Thread(target=listen, args=(address, port, family)).start()
"""


def run_beside_neighbour(*command: str) -> str:
    """What a command writes that has the neighbour."""
    words = ["env", f"LISTENER={LISTENER}", "bash", "-c"]
    return World(0, 0).run(*words, f"{NEIGHBOUR}\nexec {shlex.join(command)}")


@pytest.mark.parametrize(
    ("protocol", "flags", "refusal"),
    [("tcpSyn", SYN_ACK, RESET_WITH_ACK), ("tcpAck", RESET, RESET)],
)
def test_a_real_listener_is_recognised(protocol: str, flags: int, refusal: int) -> None:
    """Its connections end at once, since the kernel here resets them."""
    words = [sys.executable, "-m", "anabranch", "trace", "--format=json", *SURE]
    words += ["--protocol", protocol]
    told = run_beside_neighbour(*words, OPEN, OPEN_V6, CLOSED, CLOSED_V6)
    traces = [json.loads(line) for line in told.splitlines()]
    assert len(traces) == 4
    for traced in traces:
        assert traced["end"] == "completed"
        replies = [probe["reply"] for probe in traced["probes"] if probe["reply"]]
        is_open = traced["destination"] in {OPEN, OPEN_V6}
        assert {reply["tcp_flags"] for reply in replies} == {
            flags if is_open else refusal
        }


BESIDES = f"""
import socket, sys, threading
from ipaddress import ip_address
from anabranch_engine import PrefixSet, Probe, Tracing

def connect(port):
    for address in ["{OPEN}", "{OPEN_V6}"] * 20:
        with socket.create_connection((address, port)) as connection:
            assert connection.recv(9) == b"hello"

tracing = Tracing(
    [ip_address("{OPEN}"), ip_address("{OPEN_V6}")],
    algorithm="mda", failure_probability=0.01, protocol=sys.argv[1], rate=20,
    max_rate_per_destination=20, forbidden=PrefixSet(), live=True,
)
foreign = []
for event in tracing:
    if isinstance(event, Probe) and len(foreign) < 2:
        connect([81, 80][len(foreign)])
        foreign.append(tracing.statistics.foreign)
print(*foreign, tracing.statistics.forged)
"""


@pytest.mark.parametrize(("protocol", "most"), [("udp", 40), ("tcpSyn", 40 * 3)])
def test_other_connections_of_the_machine_hardly_cost_anything(
    protocol: str, most: int
) -> None:
    """Of 40, with four frames each or more, on port 80 how they begin and a reset.

    A few more frames are neighbour discovery.
    """
    told = run_beside_neighbour(sys.executable, "-c", BESIDES, protocol)
    elsewhere, all_of_it, forged = map(int, told.split())
    assert elsewhere < 40
    assert all_of_it < most
    assert forged == 0
