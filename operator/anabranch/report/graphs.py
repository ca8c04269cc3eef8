"""The graphs that a report's reader can draw: of diamonds, and of paths to a target."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from anabranch.warehouse.paths import choose_target, read_links
from anabranch.warehouse.routers import group_addresses, order_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.warehouse.results import Results

    Rows = list[dict[str, Any]]
    Link = tuple[int, str, str]
    """The TTL of the near end, and both ends' addresses."""

DIAMONDS = 20
"""The most diamonds that can be drawn."""
AGENTS = 8
"""The most agents whose paths to the target can be drawn."""
LINKS = 1_000
"""The most links of a graph."""
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}


@dataclass(frozen=True)
class Graph:
    """Links between interfaces at neighbouring hops."""

    group: str
    """What it stands beside."""
    name: str
    """What distinguishes it there."""
    title: str
    links: dict[Link, int]
    """The links that are drawn, with the flows that crossed each."""
    found: int
    """How many links there are."""
    router_of: dict[str, str] = field(default_factory=dict)
    """The routers of those of its addresses that have one with several."""

    @property
    def addresses(self) -> set[str]:
        """The ends of its links."""
        return {end for _, *both in self.links for end in both}


def choose_graphs(results: Results, widest: Rows, target: str | None) -> list[Graph]:
    """Return the graphs of some distinct diamonds, and of the paths to a target.

    Raises:
        LookupError: If no links to the target are known.
    """
    graphs = _draw_diamonds(results, widest)
    if target is not None:
        graphs += _draw_paths(results, choose_target(results, target))
    if "routers" in results.tables:
        known = results.name_routers(set[str]().union(*(g.addresses for g in graphs)))
        graphs = [
            replace(
                graph,
                router_of={end: known[end] for end in graph.addresses & known.keys()},
            )
            for graph in graphs
        ]
    return graphs


def _draw_diamonds(results: Results, widest: Rows) -> list[Graph]:
    wanted = defaultdict(set)
    for row in widest:
        wanted[row["agent"]].add(row["prefix"])
    known = {
        agent.keys.agent: read_links(agent, sorted(wanted[agent.keys.agent]))
        for agent in results.surveyed
        if agent.keys.agent in wanted
    }
    graphs = [
        draw_diamond(number, row, known[row["agent"]])
        for number, row in enumerate(widest, 1)
    ]
    return [graph for graph in graphs if graph.links]


def draw_diamond(number: int, diamond: dict[str, Any], links: Rows) -> Graph:
    """Return the graph of a diamond as an agent met it on the way to a target.

    ``links`` are those to this target, and maybe to others.
    """
    first, end = diamond["divergence_ttl"], diamond["convergence_ttl"]
    width, length = diamond["max_width"], diamond["max_length"]
    title = (
        f"From {diamond['divergence_addr']} to {diamond['convergence_addr']}: "
        f"{width:,} interfaces wide and {length:,} hops long, as {diamond['agent']} "
        f"met it on the way to {diamond['prefix']} by "
        f"{PROTOCOLS.get(diamond['protocol'], diamond['protocol'])}"
    )
    inside = (
        link
        for link in links
        if (link["prefix"], link["protocol"])
        == (diamond["prefix"], diamond["protocol"])
        and first <= link["near_ttl"] < end
    )
    name = f"{number}: {width:,} wide, {length:,} long"
    return _limit("Widest diamonds", name, title, inside)


def _draw_paths(results: Results, target: str) -> list[Graph]:
    graphs: list[Graph] = []
    for agent in results.surveyed:
        if len(graphs) == AGENTS:
            break
        if links := read_links(agent, [target]):
            name = agent.keys.agent
            title = f"Paths from {name} to {target}"
            graphs.append(_limit(f"Paths to {target}", name, title, links))
    if not graphs:
        raise LookupError(f"no links are known on the way to {target}")
    return graphs


def _limit(group: str, name: str, title: str, rows: Iterable[dict[str, Any]]) -> Graph:
    """Return a graph of the links with the most flows."""
    links = Counter[tuple[int, str, str]]()
    for row in rows:
        links[row["near_ttl"], row["near_addr"], row["far_addr"]] += row["flows"]
    most = sorted(links.items(), key=lambda item: (-item[1], item[0]))[:LINKS]
    return Graph(group, name, title, dict(sorted(most)), len(links))


def encode(graphs: list[Graph]) -> str:
    """Return graphs as JSON that may stand in an element of a page.

    A graph has its title, addresses in order, the places of those that are of one
    router, and links: the near end's TTL, both ends' places, and flows.
    """
    encoded = []
    for graph in graphs:
        ends = sorted(graph.addresses, key=order_address)
        places = {address: place for place, address in enumerate(ends)}
        links = [
            [ttl, places[near], places[far], flows]
            for (ttl, near, far), flows in graph.links.items()
        ]
        routers = [
            [places[address] for address in group]
            for group in group_addresses(graph.router_of)
        ]
        told = {"title": graph.title, "found": graph.found}
        encoded.append({**told, "addresses": ends, "routers": routers, "links": links})
    text = json.dumps(encoded, separators=(",", ":"))
    # Nothing may end the element, or begin another one.
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
