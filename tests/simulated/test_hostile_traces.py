"""Traces through networks with bad habits: what they find, and what they must not."""

from __future__ import annotations

import json
import shlex
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest

from topologies import Layers
from tracerruns import (
    DESTINATIONS,
    QUOTING,
    SURE,
    links_of,
    tells_rewritten,
    trace,
)
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = ANSWERING | {"short-quotes": 0.0}

Links = set[tuple[str, str]]


@cache
def find_plain_links(protocol: str) -> dict[str, Links]:
    """The links to each destination where nobody has a habit."""
    traces = trace(World(switches=PLAIN), *DESTINATIONS, "--protocol", protocol, *SURE)
    return {traced["destination"]: links_of(traced) for traced in traces}


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
@pytest.mark.parametrize(("habit", "fields"), QUOTING)
def test_a_habit_of_quoting_changes_no_link(
    protocol: str, habit: str, fields: int
) -> None:
    """It is told what a translator has rewritten; IPv6 has no identification."""
    world = World(switches=PLAIN | {habit: 1.0})
    for traced in trace(world, *DESTINATIONS, "--protocol", protocol, *SURE):
        to = traced["destination"]
        assert links_of(traced) == find_plain_links(protocol)[to]
        assert tells_rewritten(traced, fields)


def test_a_balancer_by_destination_makes_no_diamond() -> None:
    """All flows take one path, and nothing is told of balancing by packet."""
    switches = PLAIN | {"per-destination": 1.0}
    (traced,) = trace(World(60, 0, switches=switches), "240.0.50.1", *SURE)
    assert traced["end"] == "completed"
    assert traced["unsteady_ttls"] == []
    nears = [near for near, _ in links_of(traced)]
    assert len(nears) == len(set(nears)) > 10


@pytest.mark.parametrize("algorithm", ["mda", "mdaLite"])
def test_routers_that_limit_their_errors_make_no_link(
    algorithm: str, tmp_path: Path
) -> None:
    """And hide none from a trace that is slower than the limit."""
    layers = Layers((1, 1, 4, 2, 1, 1))
    file = tmp_path / "layers.txt"
    file.write_text(layers.file(0))
    world = World(0, 0, switches={"icmp-rate": 50}, topologies=(file,))
    rule = (layers.destination(0), "--algorithm", algorithm, *SURE)
    (fast,) = trace(world, *rule)
    assert links_of(fast) <= set(layers.links(0))
    (slow,) = trace(world, *rule, "--rate", "40")
    assert slow["end"] == "completed"
    assert links_of(slow) == set(layers.links(0))


def test_a_router_that_forwards_at_ttl_0_makes_no_link() -> None:
    """Behind it, the next one shows in its place, too."""
    world = World(switches=PLAIN | {"zero-ttl": 0.3})
    for traced in trace(world, *DESTINATIONS, *SURE):
        assert traced["end"] == "completed"
        found, plain = links_of(traced), find_plain_links("udp")[traced["destination"]]
        assert set() < found < plain


def test_routers_that_answer_as_the_destination_make_no_link_between_them() -> None:
    """A link has two ends. The trace ends, since one address comes again and again."""
    world = World(switches=PLAIN | {"masquerades": 1.0})
    for traced in trace(world, *DESTINATIONS, *SURE):
        to = traced["destination"]
        assert traced["end"] == "loop"
        others = links_of(traced) - find_plain_links("udp")[to]
        assert {far for _, far in others} == {to}
        assert to not in {near for near, _ in others}


# Two kernels that forward. The second one knows that nothing leads on.
ROUTERS = """
set -e
connect() {  # from to near far
    ip -n $1 link add $2 type veth peer name $1 netns $2
    ip -n $1 address add $3 dev $2
    ip -n $2 address add $4 dev $1
    ip -n $1 link set $2 up
    ip -n $2 link set $1 up
}
for each in here near far
do
    ip netns add $each
    ip netns exec $each sysctl --quiet net.ipv4.ip_forward=1 net.ipv4.icmp_ratemask=0
done
connect here near 198.51.100.1/24 198.51.100.2/24
connect near far 203.0.113.1/24 203.0.113.2/24
ip -n here route add default via 198.51.100.2
ip -n near route add 192.0.2.0/24 via 203.0.113.2
ip -n far route add 198.51.100.0/24 via 203.0.113.1
ip -n far route add $REASON 192.0.2.0/24
"""


@pytest.mark.parametrize("algorithm", ["singlePath", "mda", "mdaLite"])
@pytest.mark.parametrize(
    ("reason", "code"), [("unreachable", 1), ("prohibit", 13), ("throw", 0)]
)
def test_an_unreachable_of_a_router_ends_a_path(
    algorithm: str, reason: str, code: int
) -> None:
    """It says why, and the link to that router counts."""
    words = ["ip", "netns", "exec", "here", sys.executable, "-m", "anabranch", "trace"]
    words += ["192.0.2.9", "--format=json", "--algorithm", algorithm, *SURE]
    script = f"{ROUTERS}\nexec {shlex.join(words)}"
    told = World(0, 0).run("env", f"REASON={reason}", "bash", "-c", script)
    traced = json.loads(told)
    assert traced["end"] == "completed"
    assert links_of(traced) == {("198.51.100.2", "203.0.113.2")}
    replies = [probe["reply"] for probe in traced["probes"] if probe["reply"]]
    ends = [reply for reply in replies if reply["is_end"]]
    assert {reply["source"] for reply in ends} == {"203.0.113.2"}
    assert {(reply["icmp_type"], reply["icmp_code"]) for reply in ends} == {(3, code)}
