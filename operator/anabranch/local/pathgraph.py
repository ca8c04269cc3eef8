"""A figure of the paths to one destination."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import mean
from typing import TYPE_CHECKING

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from anabranch.local.style import (
    LEGEND_ROW,
    choose_styles,
    count_legend_columns,
    use_look,
)

if TYPE_CHECKING:
    from typing import TypeAlias

    from matplotlib.axes import Axes

    from anabranch.local.style import Style

    Node: TypeAlias = tuple[int, str]
    """A hop's TTL, and the address of an interface at the hop."""
    Edge: TypeAlias = tuple[Node, Node, int]
    """The near node, the far node, and how many flows were seen between them."""

# All lengths are in inches.
_FONT = 5.5
"""The size of addresses, in points."""
_CHARACTER = 0.602 * _FONT / 72
"""The width of a character of DejaVu Sans Mono."""
_OFFSET = 0.06
"""The distance from an interface to its address."""
_NARROW = 2
"""The most interfaces of a narrow hop.

A narrow hop's addresses are vertical, above and below its interfaces.
"""
_NARROW_PITCH = 0.3
"""The distance between two interfaces of a narrow hop."""
_PITCH = 0.12
"""The distance between two interfaces of a wide hop, with addresses on their right."""
_CHAIN_STEP = 0.17
"""The distance between two hops of one interface each."""
_STEP = 0.42
"""The least distance between two other hops."""
_RISE = 4
"""The largest ratio of a node's height to the distance between hops."""
_MARGIN = 0.3
_TITLE = 0.35
_HEADING = 0.2
"""The height of an agent's name above its paths."""
_AXIS = 0.45
_NARROWEST = 5.0


@dataclass(frozen=True)
class Graph:
    """The links to a destination that one agent found, and the places of their ends."""

    edges: list[Edge]

    @cached_property
    def widths(self) -> Counter[int]:
        """The number of interfaces of each hop."""
        return Counter(ttl for ttl, _ in self.places)

    @cached_property
    def places(self) -> dict[Node, float]:
        """The place of each node in its hop, counted from the middle."""
        return place_nodes(self.edges)

    @cached_property
    def heights(self) -> dict[Node, float]:
        """The height of each node above the middle."""
        return {
            node: place * (_PITCH if self.is_wide(node[0]) else _NARROW_PITCH)
            for node, place in self.places.items()
        }

    @cached_property
    def reach(self) -> tuple[float, float]:
        """The lowest and the highest point that nodes and addresses reach."""
        lowest, highest = -_OFFSET, _OFFSET
        for (ttl, address), height in self.heights.items():
            beyond = _OFFSET + (0 if self.is_wide(ttl) else _measure(address))
            lowest = min(lowest, height - (beyond if height < 0 else _OFFSET))
            highest = max(highest, height + (beyond if height >= 0 else _OFFSET))
        return lowest - _OFFSET, highest + _OFFSET

    def is_wide(self, ttl: int) -> bool:
        """Return whether a hop has its addresses on the right of its interfaces."""
        return self.widths[ttl] > _NARROW

    def measure_hop(self, ttl: int) -> float:
        """Return how far the addresses of a hop reach to its right."""
        if not self.is_wide(ttl):
            return 0
        addresses = (address for hop, address in self.places if hop == ttl)
        return 2 * _OFFSET + max(map(_measure, addresses))


def draw_paths(
    title: str,
    agents: list[str],
    edges: list[tuple[str, Node, Node, int]],
    nodes: str = "interfaces",
) -> Figure:
    """Draw the paths to one destination from each agent, hops from left to right.

    Each edge has an agent, the near node, the far node, and the number of flows
    that were seen between them. ``nodes`` says what nodes are.
    """
    found: dict[str, list[Edge]] = {agent: [] for agent in agents}
    for agent, near, far, flows in edges:
        found[agent].append((near, far, flows))
    graphs = {agent: Graph(of_agent) for agent, of_agent in found.items() if of_agent}
    styles = choose_styles(agents)
    handles = [*_count(found, graphs, styles, nodes), *_show_widths(edges)]
    columns = place_hops(list(graphs.values()))
    span = max(
        x + graph.measure_hop(ttl)
        for graph in graphs.values()
        for ttl, x in columns.items()
    )
    width = max(span + 2 * _MARGIN, _NARROWEST)
    labels = [str(handle.get_label()) for handle in handles]
    legend_columns, legend_rows = count_legend_columns(labels, width)
    y = _TITLE + LEGEND_ROW * legend_rows
    height = y + _AXIS
    for graph in graphs.values():
        height += _HEADING + graph.reach[1] - graph.reach[0]
    left = (span - width) / 2
    most = max(flows for *_, flows in edges)
    with use_look():
        figure = Figure(figsize=(width, height))
        figure.text(0.5, 1 - 0.2 / height, title, ha="center", va="center", size=8)
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.28 / height),
            ncols=legend_columns,
        )
        for agent, graph in graphs.items():
            lowest, highest = graph.reach
            y += _HEADING + highest - lowest
            # A unit is an inch.
            axes = figure.add_axes(
                (0, 1 - y / height, 1, (highest - lowest) / height),
                xlim=(left, left + width),
                ylim=graph.reach,
                frame_on=False,
            )
            axes.text(0, highest, agent, size=7, weight="bold")
            axes.yaxis.set_visible(False)
            axes.xaxis.set_visible(False)
            axes.grid(visible=False)
            _draw_graph(axes, graph, columns, styles[agent], most)
        axes.xaxis.set_visible(True)
        axes.set_xticks(list(columns.values()), [str(ttl) for ttl in columns], size=6)
        axes.set_xlabel("TTL")
    return figure


def place_hops(graphs: list[Graph]) -> dict[int, float]:
    """Return how far each hop is from the first one, by its TTL.

    Leave room for the addresses of a wide hop, and let no link rise too steeply.
    """
    hops = sorted({ttl for graph in graphs for ttl in graph.widths})
    columns = dict.fromkeys(hops[:1], 0.0)
    for near, far in pairwise(hops):
        addresses = max(graph.measure_hop(near) for graph in graphs)
        ends = [
            graph.heights[node]
            for graph in graphs
            for node in graph.places
            if node[0] in {near, far}
        ]
        is_chain = max(ends) == min(ends)
        step = _CHAIN_STEP if is_chain else max(_STEP, max(ends) / _RISE)
        columns[far] = columns[near] + addresses + step
    return columns


def place_nodes(edges: list[Edge]) -> dict[Node, float]:
    """Return the place of each node in its hop, counted from the middle.

    A node is close to the nodes before it, so that few lines cross.
    """
    before: dict[Node, list[Node]] = defaultdict(list)
    hops: dict[int, set[Node]] = defaultdict(set)
    for near, far, _ in edges:
        before[far].append(near)
        hops[near[0]].add(near)
        hops[far[0]].add(far)
    places: dict[Node, float] = {}
    for ttl in sorted(hops):
        wanted = {
            node: mean(places[each] for each in before[node]) if before[node] else 0
            for node in hops[ttl]
        }
        order = sorted(hops[ttl], key=lambda node: (wanted[node], node))
        for place, node in enumerate(order):
            places[node] = place - (len(order) - 1) / 2
    return places


def _draw_graph(
    axes: Axes, graph: Graph, columns: dict[int, float], style: Style, most: int
) -> None:
    # A link starts on the right of the addresses of a wide hop.
    segments = [
        (
            (columns[near[0]] + graph.measure_hop(near[0]), graph.heights[near]),
            (columns[far[0]], graph.heights[far]),
        )
        for near, far, _ in graph.edges
    ]
    widths = [_choose_width(flows, most) for *_, flows in graph.edges]
    axes.add_collection(
        LineCollection(segments, linewidths=widths, colors="0.6", zorder=1),
        autolim=False,
    )
    axes.scatter(
        [columns[ttl] for ttl, _ in graph.heights],
        list(graph.heights.values()),
        s=12,
        facecolor="white",
        edgecolor=style.color,
        linewidth=1,
        marker=style.marker,
        zorder=2,
    )
    for (ttl, address), height in graph.heights.items():
        _write(axes, address, (columns[ttl], height), is_wide=graph.is_wide(ttl))


def _write(
    axes: Axes, address: str, place: tuple[float, float], *, is_wide: bool
) -> None:
    """Write an address to the right of its interface, or vertically above or below."""
    x, y = place
    text = axes.text(x, y, address, family="DejaVu Sans Mono", size=_FONT)
    if is_wide:
        text.set(x=x + _OFFSET, va="center")
    elif y < 0:
        text.set(y=y - _OFFSET, rotation=90, ha="center", va="top")
    else:
        text.set(y=y + _OFFSET, rotation=90, ha="center", va="bottom")


def _count(
    found: dict[str, list[Edge]],
    graphs: dict[str, Graph],
    styles: dict[str, Style],
    nodes: str,
) -> list[Line2D]:
    """Return the legend entries of the agents."""
    entries = []
    for agent, edges in found.items():
        count = len(graphs[agent].places) if edges else 0
        entry = styles[agent].make_line(f"{agent}: {count} {nodes}, {len(edges)} links")
        entry.set_linestyle("none")
        entries.append(entry)
    return entries


def _show_widths(edges: list[tuple[str, Node, Node, int]]) -> list[Line2D]:
    """Return the legend entries of the widths of lines."""
    counts = [flows for *_, flows in edges]
    return [
        Line2D(
            [],
            [],
            color="0.6",
            linewidth=_choose_width(flows, max(counts)),
            label=f"{flows:,} flow{'' if flows == 1 else 's'}",
        )
        for flows in sorted({min(counts), max(counts)})
    ]


def _choose_width(flows: int, most: int) -> float:
    """Return the width of a link's line, in points."""
    return 0.4 + 2 * flows / most


def _measure(address: str) -> float:
    return _CHARACTER * len(address)
