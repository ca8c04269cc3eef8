"""Surveys whose traces look for aliases, on real packets."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from itertools import combinations, cycle
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from anabranch.cli import main
from anabranch.cli.score import read_links
from onesurvey import judge, open_run, write_table
from surveying import command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ["240.0.0.0/18,udp,1,32,1", "3fff::/60,udp,1,32,1"]
TOOL = {"trace": {"prefixLenV4": 24, "prefixLenV6": 64, "aliases": {"rounds": 2}}}
HABITS = "interface-ids constant-ids random-ids copied-ids silent-routers whole-replies"
SWITCHES = dict.fromkeys(HABITS.split(), 0.0)


def read_table(data: Path, table: str, folder: Path) -> list[dict[str, Any]]:
    """The rows of a table of the results."""
    file = folder / f"{table}.jsonl"
    write_table(data, table, "jsonl", file)
    return [json.loads(line) for line in file.read_text().splitlines()]


def read_routers(world: World, folder: Path) -> dict[str, int]:
    """The router of each address that there is."""
    world.simulation.write_truth(folder)
    rows = pl.read_parquet(folder / "interfaces.parquet").iter_rows(named=True)
    return {row["address"]: row["router"] for row in rows}


@pytest.fixture(scope="module")
def world() -> World:
    """Routers that all have one counter."""
    return World(64, 16, switches=SWITCHES)


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey."""
    folder = tmp_path_factory.mktemp("aliases")
    manifests = write_manifests(folder / "m", TARGETS, tool=TOOL)
    survey(world, manifests, folder / "data")
    its = judge(world, manifests)
    assert its.judge(read_links(folder / "data", its.assignments)).precision == 1
    return folder / "data"


def test_it_finds_the_routers_that_there_are(
    world: World, data: Path, tmp_path: Path
) -> None:
    """All of them in both families, and no others."""
    router_of = read_routers(world, tmp_path)
    pairs = read_table(data, "aliases", tmp_path)
    prefixes = {row["prefix"] for row in read_table(data, "traces", tmp_path)}
    for row in pairs:
        assert row["prefix"] in prefixes
        assert not row["is_in_conflict"]
        assert (row["router_addr"] != "") == (row["verdict"] == "accept")
        ends = {router_of[row["first_addr"]], router_of[row["second_addr"]]}
        assert row["verdict"] == ("accept" if len(ends) == 1 else "reject"), row
    tests = {(row["verdict"], row["test"]) for row in pairs}
    assert {("accept", "error ids"), ("accept", "fragment ids")} <= tests
    found: dict[str, set[str]] = {}
    for row in read_table(data, "routers", tmp_path):
        found.setdefault(row["router_addr"], set()).add(row["addr"])
        assert not row["is_in_conflict"]
    accepted = {
        (row["first_addr"], row["second_addr"])
        for row in pairs
        if row["verdict"] == "accept"
    }
    assert found
    assert accepted <= {
        pair
        for addresses in found.values()
        for both in combinations(addresses, 2)
        for pair in (both, both[::-1])
    }


def test_links_and_diamonds_are_those_between_routers(
    world: World, data: Path, tmp_path: Path
) -> None:
    """A link of routers has links of their addresses; diamonds become smaller."""
    router_of = read_routers(world, tmp_path)
    links = read_table(data, "links", tmp_path)
    between = read_table(data, "router_links", tmp_path)
    assert sum(row["links"] for row in between) == len(links)
    ends = [(router_of[row["near_addr"]], router_of[row["far_addr"]]) for row in links]
    found = [
        (router_of[row["near_router"]], router_of[row["far_router"]]) for row in between
    ]
    assert set(found) == set(ends)
    diamonds = read_table(data, "diamonds", tmp_path)
    for row in diamonds:
        changes = row["becomes"] != "no change"
        assert row["router_max_width"] <= row["max_width"]
        assert row["router_diamonds"] == 1 or changes
    assert {"no change", "one smaller"} <= {row["becomes"] for row in diamonds}


def test_diamonds_between_routers_have_routers_as_points_and_all_metrics(
    world: World, data: Path, tmp_path: Path
) -> None:
    """There are as many, as wide and as long, as the diamonds between addresses say."""
    router_of = read_routers(world, tmp_path)
    router_addrs = {
        row["addr"]: row["router_addr"] for row in read_table(data, "routers", tmp_path)
    }
    between = defaultdict(list)
    for row in read_table(data, "router_diamonds", tmp_path):
        between[row["prefix"], row["protocol"]].append(row)
        for end in ("divergence_router", "convergence_router"):
            assert row[end] in router_of
            assert router_addrs.get(row[end], row[end]) == row[end]
    diamonds = read_table(data, "diamonds", tmp_path)
    for row in diamonds:
        first, last = row["divergence_ttl"], row["convergence_ttl"]
        inside = [
            its
            for its in between[row["prefix"], row["protocol"]]
            if first <= its["divergence_ttl"] < its["convergence_ttl"] <= last
        ]
        assert len(inside) == row["router_diamonds"]
        for metric in ("max_width", "max_length"):
            most = max((its[metric] for its in inside), default=0)
            assert most == row[f"router_{metric}"]
        if row["becomes"] == "no change":
            names = ("width_asymmetry", "meshed_ratio", "probability_difference")
            assert [inside[0][name] for name in names] == [row[name] for name in names]
    found = sum(map(len, between.values()))
    rows = read_table(data, "router_diamond_distributions", tmp_path)
    sizes = read_table(data, "router_diamond_sizes", tmp_path)
    for some in ([row for row in rows if row["metric"] == "max_width"], sizes):
        measured = [row["diamonds"] for row in some if row["counted"] == "measured"]
        assert sum(measured) == found > 0


@pytest.mark.parametrize("graph_format", ["dot", "graphml"])
def test_the_nodes_of_a_graph_are_routers_if_asked_for(
    graph_format: str, data: Path, tmp_path: Path
) -> None:
    """Its edges are the links between them."""
    file = tmp_path / "graph"
    words = ["results", "survey", "--data", str(data), "--format", graph_format]
    assert main([*words, "--routers", "--output", str(file)]) == 0
    edge = {"dot": r'"(\S+)" -> "(\S+)"', "graphml": r'source="(.*?)" target="(.*?)"'}
    found = re.findall(edge[graph_format], file.read_text())
    between = read_table(data, "router_links", tmp_path)
    ends = {(row["near_router"], row["far_router"]) for row in between}
    assert len(found) == len(ends)
    assert set(found) == ends


def test_a_figure_shows_routers_if_asked_for(data: Path, tmp_path: Path) -> None:
    """Of the paths to a target, of all diamonds, and how large they are."""
    words = ["plot", "survey", "--data", str(data), "--routers"]
    for number, what in enumerate((["--target", "largest"], ["--diamonds"], [])):
        file = tmp_path / f"{number}.svg"
        assert main([*words, *what, "--output", str(file)]) == 0
        assert "routers" in file.read_text()


def test_the_topology_data_kit_has_routers_as_nodes(data: Path, tmp_path: Path) -> None:
    """Each with all of its interfaces, and each interface in one node."""
    routers: dict[str, set[str]] = {}
    for row in read_table(data, "routers", tmp_path):
        routers.setdefault(row["router_addr"], set()).add(row["addr"])
    words = ["results", "survey", "--data", str(data), "--format", "itdk"]
    assert main([*words, "--output", str(tmp_path / "kit")]) == 0
    kits = [tmp_path / f"kit/{family}" for family in ("ipv4", "ipv6")]
    lines = [
        line
        for kit in kits
        for line in kit.with_suffix(".nodes").read_text().splitlines()[1:]
    ]
    nodes = [set(line.partition(":  ")[2].split()) for line in lines]
    assert [node for node in nodes if len(node) > 1] == sorted(
        routers.values(), key=nodes.index
    )
    addresses = [address for node in nodes for address in node]
    assert len(addresses) == len(set(addresses))
    node_of = dict(
        line.split()[:2]
        for kit in kits
        for line in kit.with_suffix(".ifaces").read_text().splitlines()[1:]
    )
    for router in routers.values():
        assert len({node_of[address] for address in router}) == 1


def test_the_kit_tells_the_as_of_a_router(data: Path, tmp_path: Path) -> None:
    """It is that of most of its interfaces, unless another one has as many."""
    words = ["results", "survey", "--data", str(data), "--format", "itdk"]
    assert main([*words, "--output", str(tmp_path / "plain")]) == 0
    lines = (tmp_path / "plain/ipv4.nodes").read_text().splitlines()[1:]
    nodes = {
        name.removeprefix("node "): addresses.split()
        for name, _, addresses in (line.partition(":  ") for line in lines)
    }
    origins = ("64500", "64501", "64500", "64501_64502")
    everyone = sorted(address for some in nodes.values() for address in some)
    origin_of = dict(zip(everyone, cycle(origins), strict=False))
    table = tmp_path / "table.pfx2as"
    table.write_text("".join(f"{a}\t32\t{asn}\n" for a, asn in origin_of.items()))
    words += ["--annotate", str(table)]
    assert main([*words, "--output", str(tmp_path / "kit")]) == 0
    told = (tmp_path / "kit/ipv4.nodes.as").read_text().splitlines()[1:]
    wanted = {}
    for node, addresses in nodes.items():
        # An address with several origins says nothing.
        votes = Counter(origin_of[each] for each in addresses)
        votes.pop(origins[-1], None)
        (first, most), (_, next_most) = [*votes.most_common(2), ("", 0), ("", 0)][:2]
        if most > next_most:
            wanted[node] = first
    assert told == [f"node.AS {node} {asn} origins" for node, asn in wanted.items()]
    assert any(len(nodes[node]) > 1 for node in wanted)
    assert set(wanted) < set(nodes)


def test_its_probes_are_counted(data: Path, tmp_path: Path) -> None:
    """They are few, and are no probes of paths."""
    outcome = json.loads(
        (data / open_run(data).root / "001-00/outcome.json").read_text()
    )
    probes = read_table(data, "probes", tmp_path)
    assert len(probes) < outcome["probes"] < 1.3 * len(probes)
    assert outcome["replies"] > len(read_table(data, "replies", tmp_path))


def test_no_address_is_pinged_that_the_policy_does_not_allow(tmp_path: Path) -> None:
    """What can be told without is told."""
    world = World(64, 0, switches=SWITCHES)
    manifests = write_manifests(tmp_path / "m", TARGETS[:1], tool=TOOL)
    text = manifests.read_text().replace("- 240.0.0.0/4", "- 240.0.0.0/8")
    manifests.write_text(text)
    survey(world, manifests, tmp_path / "data")
    pairs = read_table(tmp_path / "data", "aliases", tmp_path)
    verdicts = {(row["verdict"], row["test"]) for row in pairs}
    assert ("accept", "error ids") in verdicts
    assert not [row for row in pairs if row["test"] == "echo ids"]


def test_where_no_large_packet_can_leave_traces_are_whole(tmp_path: Path) -> None:
    """And nothing is told of fragments."""
    world = World(0, 16, switches=SWITCHES)
    manifests = write_manifests(tmp_path / "m", TARGETS[1:], tool=TOOL)
    script = 'ip link set eth0 mtu 1280 && exec "$@"'
    world.run("sh", "-c", script, "-", *command(manifests, tmp_path / "data"))
    traces = read_table(tmp_path / "data", "traces", tmp_path)
    assert {row["end_reason"] for row in traces} <= {"completed", "gap limit"}
    pairs = read_table(tmp_path / "data", "aliases", tmp_path)
    assert pairs
    assert not [row for row in pairs if row["test"] == "fragment ids"]


def test_without_alias_resolution_there_are_no_such_tables(tmp_path: Path) -> None:
    """The command says what to ask for."""
    world = World(8, 0)
    tool = {"trace": {"prefixLenV4": 24}}
    manifests = write_manifests(tmp_path / "m", ["240.0.0.0/22,udp,1,32,1"], tool=tool)
    survey(world, manifests, tmp_path / "data")
    for table in ("routers", "router_diamonds", "router_diamond_sizes"):
        with pytest.raises(LookupError, match=r"give trace\.aliases in the measure"):
            write_table(tmp_path / "data", table, "jsonl", tmp_path / "routers")
    for row in read_table(tmp_path / "data", "diamonds", tmp_path):
        assert row["becomes"] is None
