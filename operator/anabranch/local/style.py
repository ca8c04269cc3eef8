"""How figures look, and how agents are told apart in them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Literal, TypeAlias

    from matplotlib.figure import Figure

    LineStyle: TypeAlias = Literal["-", "--", "-.", ":"]

LEGEND_ROW = 0.16
"""The height of a row of a legend, in inches."""
_CHARACTER = 0.06
"""The width of a character of a legend, generously, in inches."""
_HANDLE = 0.55
"""The width of what stands before the text, and of the blank behind it, in inches."""

# Of Okabe and Ito (Color Universal Design, 2008), which colour-blind people tell apart;
# their yellow is left out: it is too pale for a line on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">")


@dataclass(frozen=True)
class Style:
    """What an agent is drawn with."""

    color: str
    line_style: LineStyle
    marker: str

    def make_line(self, label: str) -> Line2D:
        """A line with markers, as a legend shows it."""
        return Line2D(
            [],
            [],
            color=self.color,
            linestyle=self.line_style,
            linewidth=1,
            marker=self.marker,
            markersize=4,
            markerfacecolor="none",
            label=label,
        )


def use_look() -> AbstractContextManager[None]:
    """Settings of matplotlib, for figures as wide as the text of a paper."""
    return rc_context(
        {
            "font.family": "DejaVu Sans",
            "font.size": 7,
            "figure.titlesize": 8,
            "figure.dpi": 200,
            "axes.linewidth": 0.6,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "0.9",
            "grid.linewidth": 0.5,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "legend.frameon": False,
            "legend.handlelength": 3,
            # Publishers refuse fonts of type 3, which matplotlib embeds otherwise.
            "pdf.fonttype": 42,
        }
    )


def choose_styles(agents: Iterable[str]) -> dict[str, Style]:
    """A style for each agent.

    Neighbours differ in colour, line and marker. The numbers of these have no factor in
    common, so that 252 agents have styles of their own.
    """
    styles = zip(cycle(_COLORS), cycle(_LINE_STYLES), cycle(_MARKERS), strict=False)
    return {agent: Style(*style) for agent, style in zip(agents, styles, strict=False)}


def count_legend_columns(labels: Collection[str], width: float) -> tuple[int, int]:
    """How many columns and rows a legend has in a figure of a width in inches."""
    widest = _HANDLE + _CHARACTER * max(map(len, labels))
    columns = min(len(labels), max(1, int(width / widest)))
    return columns, ceil(len(labels) / columns)


def save(figure: Figure, file: Path) -> None:
    """Writes a figure, in the format that the file's name ends with.

    Raises:
        OSError: When the file can't be written.
        ValueError: When there is no such format.
    """
    with use_look():
        figure.savefig(file)
