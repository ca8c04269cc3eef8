"""A figure of all diamonds and links that a run found."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from math import floor, log10
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from anabranch.local.style import (
    LEGEND_ROW,
    choose_styles,
    count_legend_columns,
    use_look,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from anabranch.local.style import Style

_WIDTH = 7.0
"""The text width of a paper with two columns, in inches."""
_HEIGHT = 3.9
"""The height without the legend, in inches."""
_MARKERS = 15
"""About how many markers a line has."""


def draw_overview(
    name: str,
    agents: list[str],
    diamonds: list[tuple[str, int, int, int]],
    new_links: list[tuple[int, int]],
    links: list[tuple[str, int, int]],
) -> Figure:
    """Draw how wide and long diamonds are, and in which rounds links were found.

    ``diamonds`` holds an agent, max_width, max_length, and the number of such diamonds.
    ``new_links`` holds a round and how many links no agent had found before it.
    ``links`` holds an agent, a round, and how many links this agent had not found
    before it. The upper row has histograms over all agents, the lower row a
    distribution for each agent.
    """
    styles = choose_styles(agents)
    widths = {agent: Counter[int]() for agent in agents}
    lengths = {agent: Counter[int]() for agent in agents}
    for agent, width, length, count in diamonds:
        widths[agent][width] += count
        lengths[agent][length] += count
    rounds = {agent: Counter[int]() for agent in agents}
    for agent, number, count in links:
        rounds[agent][number] += count
    labels = {
        agent: f"{agent}: {widths[agent].total():,} diamonds, "
        f"{rounds[agent].total():,} links"
        for agent in agents
    }
    columns, rows = count_legend_columns(labels.values(), _WIDTH)
    with use_look():
        size = (_WIDTH, _HEIGHT + rows * LEGEND_ROW)
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(name)
        above, below = figure.subplots(2, 3, sharex="col")
        of_all = [sum(widths.values(), Counter()), sum(lengths.values(), Counter())]
        _draw_histogram(above[0], of_all[0], "diamonds")
        _draw_histogram(above[1], of_all[1], "diamonds")
        _draw_histogram(above[2], Counter(dict(new_links)), "links found first")
        # Nearly all links are found in the first round.
        above[2].set_yscale("log")
        above[2].set_ylim(bottom=0.5)
        _draw_ccdfs(below[0], widths, styles, "diamonds")
        _draw_ccdfs(below[1], lengths, styles, "diamonds")
        _draw_ccdfs(below[2], rounds, styles, "links")
        below[0].set_xlabel("max width [interfaces]")
        below[1].set_xlabel("max length [hops]")
        below[2].set_xlabel("round")
        handles = [styles[agent].make_line(label) for agent, label in labels.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


def _draw_histogram(axes: Axes, counts: Counter[int], what: str) -> None:
    axes.bar(list(counts), list(counts.values()), color="0.55", width=0.8)
    axes.set_ylabel(f"{what} (n = {counts.total():,})")
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if not counts:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")


def _draw_ccdfs(
    axes: Axes, counts: dict[str, Counter[int]], styles: dict[str, Style], what: str
) -> None:
    """Draw, for each agent, the share of items whose value is at least x."""
    lowest = 0.1
    for agent, of_agent in counts.items():
        values = sorted(of_agent, reverse=True)
        shares = [
            at_least / of_agent.total()
            for at_least in accumulate(of_agent[value] for value in values)
        ]
        lowest = min([lowest, *shares])
        axes.plot(
            values,
            shares,
            # Between two values, the share is that of the higher value.
            drawstyle="steps-post",
            linestyle=styles[agent].line_style,
            color=styles[agent].color,
            linewidth=1,
            marker=styles[agent].marker,
            markersize=4,
            markerfacecolor="none",
            markevery=max(1, len(values) // _MARKERS),
        )
    axes.set_ylabel(f"CCDF of {what}: P(X ≥ x)")
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(10 ** floor(log10(lowest)), 1.5)
