"""A figure of the distributions of diamonds' metrics, alone and jointly."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, ScalarFormatter, StrMethodFormatter

from anabranch.local.style import choose_styles, use_look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import SubFigure
    from numpy.typing import NDArray

    from anabranch.local.style import Style

    Row = dict[str, Any]

_SIZE = (7.0, 6.2)
"""The text width of a paper with two columns, and the height, in inches."""
_COUNTED = ("measured", "distinct")
_LABELS = {
    "max_width": "max width [{nodes}]",
    "max_length": "max length [hops]",
    "width_asymmetry": "width asymmetry [links]",
    "probability_difference": "probability difference, where it is not 0",
    "meshed_ratio": "ratio of meshed hops, where it is not 0",
}
_SHARES = {"probability_difference", "meshed_ratio"}
"""The metrics that are no whole numbers."""
_MOST_CELLS = 128
"""The most cells on an axis."""
_MANY = 32
"""From which max width on its axis is logarithmic."""


def draw_distributions(
    name: str,
    distributions: list[Row],
    sizes: list[Row],
    nodes: str = "interfaces",
) -> Figure:
    """Draw the CDF of each metric, and the joint distribution of length and width.

    The rows are those of the tables ``diamond_distributions`` and ``diamond_sizes``, or
    of those of routers. ``nodes`` says what diamonds are of.
    """
    styles = choose_styles(_COUNTED)
    known: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in distributions:
        known[row["metric"]][row["counted"]].append(row)
    with use_look():
        figure = Figure(figsize=_SIZE, layout="constrained")
        figure.suptitle(name)
        # Colour bars must not take room from the rows above.
        above, middle, below = figure.subfigures(3, 1, squeeze=False)[:, 0]
        cells = [*above.subplots(1, 3), *middle.subplots(1, 2)]
        for axes, (metric, label) in zip(cells, _LABELS.items(), strict=True):
            is_share = metric in _SHARES
            _draw_cdfs(axes, known[metric], styles, least=1e-9 if is_share else 0)
            axes.set_xlabel(label.format(nodes=nodes))
            if is_share:
                axes.set_xlim(left=0)
            else:
                _count_whole(axes.xaxis)
        if max((row["max_width"] for row in sizes), default=0) >= _MANY:
            cells[0].set_xscale("log", base=2)
            cells[0].xaxis.set_major_formatter(ScalarFormatter())
        for axes, counted in zip(below.subplots(1, 2), _COUNTED, strict=True):
            here = [row for row in sizes if row["counted"] == counted]
            _draw_sizes(below, axes, here)
            axes.set_ylabel(_LABELS["max_width"].format(nodes=nodes))
            axes.set_title(f"{counted} diamonds", size=7)
        figure.legend(handles=_tell(known, styles), loc="outside lower center", ncols=2)
    return figure


def _draw_cdfs(
    axes: Axes, series: dict[str, list[Row]], styles: dict[str, Style], *, least: float
) -> None:
    """Draw the share of diamonds whose value is at most x, of those with the least."""
    for counted, every in sorted(series.items(), reverse=True):
        rows = [row for row in every if row["value"] >= least]
        if not rows:
            continue
        values = [row["value"] for row in rows]
        counts = list(accumulate(row["diamonds"] for row in rows))
        shares = [count / counts[-1] for count in counts]
        axes.plot(
            # The first value has its share from itself on.
            [values[0], *values],
            [0, *shares],
            drawstyle="steps-post",
            color=styles[counted].color,
            linestyle=styles[counted].line_style,
            linewidth=1,
        )
    axes.set_ylabel("CDF: P(X ≤ x)")
    axes.set_ylim(0, 1.02)


def _count_whole(axis: Axis) -> None:
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=7))


def _draw_sizes(figure: SubFigure, axes: Axes, sizes: list[Row]) -> None:
    """Draw how many diamonds have each length and width."""
    axes.set_xlabel(_LABELS["max_length"])
    axes.grid(visible=False)
    _count_whole(axes.xaxis)
    _count_whole(axes.yaxis)
    if not sizes:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        return
    lengths, widths = (
        [row[name] for row in sizes] for name in ("max_length", "max_width")
    )
    drawn = axes.hist2d(
        lengths,
        widths,
        bins=(_cut(lengths), _cut(widths)),
        weights=[row["diamonds"] for row in sizes],
        cmin=1,
        cmap="Blues",
        norm=LogNorm(vmin=0.5, vmax=max(2, *(row["diamonds"] for row in sizes))),
    )
    bar = figure.colorbar(drawn[3], ax=axes, label="diamonds")
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _cut(values: list[int]) -> NDArray[np.floating[Any]]:
    """Return the edges of cells, with whole numbers in their middle if they are few."""
    low, high = min(values), max(values)
    if high - low < _MOST_CELLS:
        return np.arange(low, high + 2) - 0.5
    return np.unique(np.geomspace(low, high + 1, _MOST_CELLS).round()) - 0.5


def _tell(
    known: dict[str, dict[str, list[Row]]], styles: dict[str, Style]
) -> list[Line2D]:
    """Return the legend entries: how many diamonds, and of how many all is known."""
    entries = []
    for counted in _COUNTED:
        all_of_it, whole = (
            sum(row["diamonds"] for row in known[metric][counted])
            for metric in ("max_width", "width_asymmetry")
        )
        style = styles[counted]
        entries.append(
            Line2D(
                [],
                [],
                color=style.color,
                linestyle=style.line_style,
                linewidth=1,
                label=f"{all_of_it:,} {counted} diamonds, {whole:,} with all metrics",
            )
        )
    return entries
