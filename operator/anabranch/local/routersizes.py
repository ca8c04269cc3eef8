"""A figure of how many addresses routers have."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anabranch.local.style import choose_styles, use_look
from anabranch.warehouse.routers import PAPER, PAPER_SHARES

if TYPE_CHECKING:
    Row = dict[str, Any]

_SIZE = (3.4, 2.6)
"""The width of a paper's column, and the height, in inches."""


def draw_sizes(name: str, sizes: list[Row]) -> Figure:
    """Draw the CDF of the numbers of addresses of routers, beside the paper's.

    ``sizes`` holds addresses, of two on, and the number of routers that have so many.
    """
    count = sum(row["routers"] for row in sizes)
    (style,) = choose_styles([name]).values()
    with use_look():
        figure = Figure(figsize=_SIZE, layout="constrained")
        figure.suptitle(name)
        axes = figure.subplots()
        axes.set_xlabel("addresses of a router")
        axes.set_ylabel("CDF: P(X ≤ x)")
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=7))
        if sizes:
            values = [row["addresses"] for row in sizes]
            sums = accumulate(row["routers"] for row in sizes)
            axes.plot(
                # The least size has its share from itself on.
                [values[0], *values],
                [0, *(total / count for total in sums)],
                drawstyle="steps-post",
                color=style.color,
                linewidth=1,
                label=f"{count:,} routers with several addresses",
            )
        else:
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        axes.plot(
            list(PAPER_SHARES),
            list(PAPER_SHARES.values()),
            linestyle="none",
            marker="x",
            markersize=5,
            color="0.3",
            label=PAPER,
        )
        figure.legend(loc="outside lower center")
    return figure
