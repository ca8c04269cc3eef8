"""Traces with packets: what they find, and what they obey."""

from __future__ import annotations

import json
import shlex
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest

from topologies import Layers
from tracerruns import SURE, links_of, trace
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("algorithm", ["mda", "mdaLite"])
@pytest.mark.parametrize("protocol", ["udp", "icmp", "tcpSyn", "tcpAck"])
def test_it_finds_exactly_the_links_of_a_topology(
    algorithm: str, protocol: str, tmp_path: Path
) -> None:
    """A uniform diamond, and one that is meshed."""
    copies = [Layers((1, 1, 4, 2, 1, 1)), Layers((1, 2, 6, 3, 2, 1, 1))]
    files = [tmp_path / f"{copy}.txt" for copy in range(len(copies))]
    for copy, (layers, file) in enumerate(zip(copies, files, strict=True)):
        file.write_text(layers.file(copy))
    destinations = [layers.destination(i) for i, layers in enumerate(copies)]
    world = World(0, 0, topologies=tuple(files))
    rule = ("--algorithm", algorithm, "--protocol", protocol)
    traces = {t["destination"]: t for t in trace(world, *destinations, *rule, *SURE)}
    for copy, layers in enumerate(copies):
        traced = traces[destinations[copy]]
        assert traced["end"] == "completed"
        assert links_of(traced) == set(layers.links(copy))
        assert traced["failure_probability"] == 1e-6


def test_a_single_path_is_that_of_its_flow() -> None:
    """Over IPv6, too; the answers have times."""
    world = World()
    destinations = ["240.0.9.1", "3fff:0:0:9::1"]
    for traced in trace(world, *destinations, "--algorithm", "singlePath", *SURE):
        true = world.links(traced["destination"], [24000 << 16 | 33434])
        # The truth has links of routers.
        found = {pair for pair in links_of(traced) if pair[1] != traced["destination"]}
        assert found
        assert found <= true
        replies = [probe["reply"] for probe in traced["probes"] if probe["reply"]]
        assert all(reply["rtt_us"] > 0 for reply in replies)


@pytest.mark.parametrize(
    ("protocol", "number", "octets"),
    [
        ("udp", 17, [flow << 16 | 33434 for flow in range(24000, 24256)]),
        ("icmp", 58, [128 << 24 | flow for flow in range(24000, 24256)]),
        ("tcpSyn", 6, [flow << 16 | 80 for flow in range(24000, 24256)]),
    ],
)
def test_balancers_by_the_flow_label_are_seen(
    protocol: str, number: int, octets: list[int]
) -> None:
    """Each flow of IPv6 has one label of its own, at all of its hops."""
    switches = {"per-label": 1.0, "per-destination": 0.0}
    answering = {"silent-routers": 0.0, "hosts": 1.0}
    world = World(0, 200, switches=switches | answering)
    to = "3fff:0:0:9::1"
    (traced,) = trace(world, to, "--protocol", protocol, *SURE)
    found = {pair for pair in links_of(traced) if pair[1] != to}
    assert len({near for near, _ in found}) < len(found)
    assert found == world.links(to, octets, number)
    assert traced["unsteady_ttls"] == []


def test_loss_costs_no_link_and_makes_none(tmp_path: Path) -> None:
    """One probe in ten or so has no reply."""
    layers = Layers((1, 1, 4, 4, 1, 1))
    file = tmp_path / "layers.txt"
    file.write_text(layers.file(0))
    world = World(0, 0, switches={"loss": 0.05}, topologies=(file,))
    (traced,) = trace(world, layers.destination(0), *SURE)
    assert links_of(traced) == set(layers.links(0))


def test_loops_and_balancing_by_packet_are_told() -> None:
    """In a network that is full of both."""
    world = World(40, 0, switches=ANSWERING | {"loops": 1})
    (traced,) = trace(world, "240.0.3.1", *SURE)
    assert traced["end"] == "loop"
    # There is a diamond before this prefix.
    for share in (0, 1):
        world = World(60, 0, switches={"per-packet": share, "per-destination": 0})
        (traced,) = trace(world, "240.0.50.1", *SURE)
        assert traced["unsteady_ttls"] == [15] * share


def test_it_keeps_to_its_rate() -> None:
    """No window of a second holds more, whatever the destinations wait for."""
    destinations = [f"240.0.{number}.1" for number in range(20)]
    world = World(20, 0)
    traces = trace(world, *destinations, "--allow-reserved", "--rate", "400")
    sent = sorted(probe["sent_us"] for each in traces for probe in each["probes"])
    most = max(
        sum(1 for time in sent if start <= time < start + 1_000_000) for start in sent
    )
    assert most <= 400 + 2


def test_it_says_what_a_file_knows_about_addresses(tmp_path: Path) -> None:
    """About each that replied, and the destination, though nothing is known of some."""
    layers = Layers((1, 1, 2, 1, 1))
    file = tmp_path / "layers.txt"
    file.write_text(layers.file(0))
    world = World(0, 0, topologies=(file,))
    table = tmp_path / "table"
    destination = layers.destination(0)
    table.write_text(f"{destination}\t32\t64500_64501\n")
    (traced,) = trace(world, destination, *SURE, "--annotate", str(table))
    met = {probe["reply"]["source"] for probe in traced["probes"] if probe["reply"]}
    known = traced["addresses"]
    assert known.keys() == met | {destination}
    assert known[destination]["asn"] == 64500
    assert known[destination]["origins"] == "64500_64501"
    others = [known[address] for address in met - {destination}]
    assert others
    assert all(set(each.values()) == {None} for each in others)


def test_its_json_has_the_bounds_that_it_obeyed(tmp_path: Path) -> None:
    """Those that are given, and the usual ones."""
    layers = Layers((1, 1, 4, 2, 1, 1))
    file = tmp_path / "layers.txt"
    file.write_text(layers.file(0))
    world = World(0, 0, topologies=(file,))
    bounds = ("--first-ttl", "2", "--max-ttl", "9", "--gap-limit", "4")
    words = (*bounds, "--attempts", "2", "--max-probes", "20")
    (traced,) = trace(world, layers.destination(0), *SURE, *words)
    given = {"first_ttl": 2, "max_ttl": 9, "gap_limit": 4, "attempts": 2}
    assert given.items() <= traced.items()
    assert traced["per_packet_test"] is True
    assert (traced["max_probes"], traced["end"]) == (20, "probe limit")
    assert len(traced["probes"]) == 20
    assert min(probe["ttl"] for probe in traced["probes"]) == 2


def test_the_preset_of_ark_is_a_single_path_by_icmp() -> None:
    """Its probes have one checksum; what is given counts instead."""
    world = World(4, 0, switches=ANSWERING)
    (traced,) = trace(world, "240.0.1.9", "--preset", "ark", *SURE)
    told = ("algorithm", "protocol", "wait_s", "attempts", "gap_limit")
    assert [traced[name] for name in told] == ["singlePath", "icmp", 5, 3, 5]
    assert {probe["flow"] for probe in traced["probes"]} == {0}
    words = ("--algorithm", "mda", "--protocol", "udp", "--wait", "1")
    (traced,) = trace(world, "240.0.1.9", "--preset", "ark", *words, *SURE)
    assert [traced[name] for name in told] == ["mda", "udp", 1, 3, 5]
    (traced,) = trace(world, "240.0.1.9", *SURE)
    assert [traced[name] for name in told] == ["mdaLite", "udp", None, 3, 5]


def test_a_window_of_one_traces_one_after_the_other() -> None:
    """The next begins when the one before has ended."""
    destinations = [f"240.0.{number}.1" for number in range(3)]
    words = (*destinations, "--algorithm", "singlePath", *SURE, "--window", "1")
    traces = trace(World(20, 0), *words)
    spans = [(traced["began_us"], traced["ended_us"]) for traced in traces]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_it_tells_text_draws_and_says_what_rights_it_lacks(tmp_path: Path) -> None:
    """In one clear line."""
    figure = tmp_path / "paths.svg"
    words = f"{sys.executable} -m anabranch trace 240.0.9.1 --allow-reserved"
    world = World(20, 0)
    said = world.run("sh", "-c", f"{words} --rate 2000 --plot {figure}")
    assert said.startswith("240.0.9.1 from 198.18.0.2 by eth0: mdaLite over udp")
    assert said.splitlines()[-1] == str(figure)
    assert figure.read_text().startswith("<?xml")
    bound = "setpriv --bounding-set=-net_raw --inh-caps=-net_raw"
    refused = world.run("sh", "-c", f"{bound} {words} 2>&1; test $? = 1")
    assert refused == (
        "anabranch: trace sends raw packets: run it as root, or with CAP_NET_RAW\n"
    )


def test_a_destination_without_a_route_is_told() -> None:
    """And the others are traced."""
    words = "trace 240.0.9.1 11.0.0.1 --allow-reserved --rate 2000 2>&1"
    script = f"{sys.executable} -m anabranch {words}; test $? = 1"
    said = World(20, 0).run("sh", "-c", script)
    assert "anabranch: there is no route to 11.0.0.1; add one" in said
    assert "interfaces and" in said


FORBIDDEN = """
from ipaddress import ip_address
from anabranch_engine import PrefixSet, Probe, Trace, Tracing

tracing = Tracing(
    [ip_address("240.0.9.1"), ip_address("240.0.8.1")],
    algorithm="mda", failure_probability=0.05, rate=50, max_rate_per_destination=50,
    forbidden=PrefixSet(), live=True,
)
ends = {}
for event in tracing:
    if isinstance(event, Probe):
        tracing.forbid(PrefixSet(["240.0.9.0/24"]))
    else:
        ends[str(event.destination)] = (event.end, event.refusal)
print(ends)
print(tracing.statistics.forbidden)
"""


def test_what_is_forbidden_meanwhile_ends_a_trace() -> None:
    """Without another probe, and without hindering others."""
    ends, forbidden = World(20, 0).run(sys.executable, "-c", FORBIDDEN).splitlines()
    assert "'240.0.9.1': ('refused', 'the limits forbid a probe to 240.0.9.1 wi" in ends
    assert "'240.0.8.1': ('refused'" not in ends
    assert forbidden == "1"


def test_few_traces_share_a_low_rate_and_end_before_others_begin() -> None:
    """So that parts close, and nothing holds back what began."""
    destinations = [f"240.0.{number}.1" for number in range(100)]
    words = (*destinations, "--algorithm", "singlePath", *SURE, "--rate", "400")
    traces = trace(World(100, 0), *words)
    assert len(traces) == len(destinations)
    first_end = min(traced["ended_us"] for traced in traces)
    assert max(traced["began_us"] for traced in traces) > first_end
    # Of the first, none waits until others have ended.
    early = sorted(traces, key=lambda traced: traced["began_us"])[:10]
    starts = [min(probe["sent_us"] for probe in each["probes"]) for each in early]
    assert max(starts) < first_end


QUEUE = "tc qdisc add dev eth0 root tbf rate 200kbit burst 1600 limit 1600"
"""Room for some dozen probes, and for a few hundred a second."""
FILTER = (
    "nft 'add table netdev t; "
    "add chain netdev t c { type filter hook egress device eth0 priority 0; }; "
    "add rule netdev t c ip protocol udp drop'"
)
REFUSED = """
import json, sys
from ipaddress import ip_address
from anabranch_engine import PrefixSet, Tracing

tracing = Tracing(
    [ip_address(sys.argv[1])],
    algorithm="mda", failure_probability=1e-6, attempts=1, rate=20_000,
    max_rate_per_destination=20_000, forbidden=PrefixSet(),
)
(traced,) = tracing
counts = tracing.statistics
silent = sum(probe.reply is None for probe in traced.probes)
print(json.dumps([traced.end, silent, len(traced.probes), counts.sent, counts.unsent]))
"""


def test_probes_that_the_kernel_refuses_make_no_star(tmp_path: Path) -> None:
    """They are sent later; nothing says that they were sent before."""
    layers = Layers((1, 1, 16, 4, 1, 1))
    file = tmp_path / "layers.txt"
    file.write_text(layers.file(0))
    words = shlex.join([sys.executable, "-c", REFUSED, layers.destination(0)])
    said = World(0, 0, topologies=(file,)).run("sh", "-c", f"{QUEUE} && {words}")
    end, silent, probes, sent, unsent = json.loads(said)
    assert (end, silent) == ("completed", 0)
    assert probes == sent
    assert unsent > 0


def test_a_link_that_takes_no_probe_is_told() -> None:
    """Each trace ends with one clear line."""
    words = "trace 240.0.9.1 --allow-reserved 2>&1"
    script = f"{FILTER} && {sys.executable} -m anabranch {words}; test $? = 1"
    assert World(20, 0).run("sh", "-c", script) == (
        "anabranch: the kernel has refused probes to 240.0.9.1 20 times in a row; see "
        "that its link's queue is not full, and that no filter drops them\n"
    )


def test_it_tells_the_routers_of_a_hop(tmp_path: Path) -> None:
    """By letters as text, with each pair as JSON; without rounds it sends no more."""
    one_counter = dict.fromkeys(
        ("interface-ids", "constant-ids", "random-ids", "copied-ids"), 0.0
    )
    # There is a diamond before this prefix.
    world = World(60, 0, switches=one_counter)
    (traced,) = trace(world, "240.0.50.1", *SURE, "--aliases")
    world.simulation.write_truth(tmp_path)
    rows = pl.read_parquet(tmp_path / "interfaces.parquet").iter_rows(named=True)
    router_of = {row["address"]: row["router"] for row in rows}
    assert traced["aliases"]
    for pair in traced["aliases"]:
        is_one = router_of[pair["first"]] == router_of[pair["second"]]
        assert pair["verdict"] == ("accept" if is_one else "reject")
    assert traced["alias_probes"] > 0
    for router in traced["routers"]:
        assert len({router_of[address] for address in router}) == 1
    (without,) = trace(world, "240.0.50.1", *SURE, "--aliases", "0")
    assert without["alias_probes"] == 0
    assert {pair["round"] for pair in without["aliases"]} == {0}
    words = (sys.executable, "-m", "anabranch", "trace", "240.0.50.1", *SURE)
    output = world.run(*words, "--aliases")
    assert "pairs of a hop: " in output
    assert ("one router at TTL " in output) == bool(traced["routers"])
