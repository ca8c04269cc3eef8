"""Pictures of what a run found."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    from matplotlib.axes import Axes

    Node: TypeAlias = tuple[int, str]
    """A hop's TTL, and an interface there."""
    Edge: TypeAlias = tuple[Node, Node, int]
    """Two nodes, and how many flows were seen to pass."""

_LABELLED = 80
"""Nodes of a graph that still have room for their addresses."""


def draw_overview(
    name: str,
    diamonds: list[tuple[int, int, int]],
    links: list[tuple[int, int]],
    file: Path,
) -> None:
    """Draws how wide and long diamonds are, and in which rounds links were found.

    ``diamonds`` are each max_width and max_length with their number, ``links`` rounds
    with the number of links that they were the first to find.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    widths, lengths, rounds = figure.subplots(1, 3)
    figure.suptitle(name)
    by_width: Counter[int] = Counter()
    by_length: Counter[int] = Counter()
    for width, length, count in diamonds:
        by_width[width] += count
        by_length[length] += count
    _draw_shares(widths, by_width, "width")
    _draw_shares(lengths, by_length, "length")
    rounds.bar([str(number) for number, _ in links], [count for _, count in links])
    rounds.set(title="links", xlabel="round", ylabel="found first")
    figure.savefig(file)


def _draw_shares(axes: Axes, counts: Counter[int], what: str) -> None:
    axes.set(title=f"diamonds: {what}", xlabel=what, ylabel="diamonds")
    axes.bar(list(counts), list(counts.values()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if not counts:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")


def draw_paths(title: str, edges: list[Edge], file: Path) -> None:
    """Draws the paths to one destination: hops from left to right."""
    places = place_nodes(edges)
    hops = [ttl for ttl, _ in places]
    tallest = max(Counter(hops).values())
    width = 1.1 * (max(hops) - min(hops) + 1) + 1
    figure = Figure(figsize=(max(width, 5), 0.5 * tallest + 2), layout="constrained")
    axes = figure.subplots()
    most = max(flows for _, _, flows in edges)
    for near, far, flows in edges:
        x, y = (near[0], far[0]), (places[near], places[far])
        axes.plot(x, y, color="0.45", linewidth=0.5 + 3 * flows / most, zorder=1)
    axes.scatter(hops, list(places.values()), s=30, zorder=2)
    if len(places) <= _LABELLED:
        for (ttl, address), place in places.items():
            axes.annotate(
                address,
                (ttl, place),
                xytext=(0, 6),
                textcoords="offset points",
                fontsize=6,
                ha="center",
            )
    axes.set(title=title, xlabel="TTL")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_visible(False)
    axes.margins(y=0.2)
    figure.savefig(file)


def place_nodes(edges: list[Edge]) -> dict[Node, float]:
    """The height of each node: near those before it, so that few lines cross."""
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
