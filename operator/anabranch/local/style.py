"""The look of figures, and the styles that distinguish agents in them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Literal, TypeAlias

    LineStyle: TypeAlias = Literal["-", "--", "-.", ":"]

LEGEND_ROW = 0.16
"""The height of a row of a legend, in inches."""
_CHARACTER = 0.06
"""A generous width for a character of a legend, in inches."""
_HANDLE = 0.55
"""The width of the line before a legend's text and the blank after it, in inches."""

# Colours of Okabe and Ito (Color Universal Design, 2008), which colour-blind people can
# distinguish. Their yellow is left out, because it is too pale for a line on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">")


@dataclass(frozen=True)
class Style:
    """The style in which an agent is drawn."""

    color: str
    line_style: LineStyle
    marker: str

    def make_line(self, label: str) -> Line2D:
        """Make a line with markers, as a legend shows it."""
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
    """Return a context in which figures are drawn for the text width of a paper."""
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
            # Publishers refuse fonts of type 3, which matplotlib embeds by default.
            "pdf.fonttype": 42,
        }
    )


def choose_styles(agents: Iterable[str]) -> dict[str, Style]:
    """Choose a style for each agent.

    Neighbours differ in colour, line and marker. The numbers of colours, lines and
    markers have no common factor, so 252 agents have distinct styles.
    """
    styles = zip(cycle(_COLORS), cycle(_LINE_STYLES), cycle(_MARKERS), strict=False)
    return {agent: Style(*style) for agent, style in zip(agents, styles, strict=False)}


def count_legend_columns(labels: Collection[str], width: float) -> tuple[int, int]:
    """Return the columns and rows of a legend in a figure of ``width`` inches."""
    widest = _HANDLE + _CHARACTER * max(map(len, labels))
    columns = min(len(labels), max(1, int(width / widest)))
    return columns, ceil(len(labels) / columns)


def check_suffix(file: Path) -> None:
    """Check that the suffix of a file's name says a format of figures.

    Raises:
        ValueError: When it does not, with the remedy.
    """
    known = Figure().canvas.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise ValueError(f"{file}: end its name with .svg, .png or .pdf")


def save(figure: Figure, file: Path) -> None:
    """Write a figure, in the format that the suffix of the file's name says.

    Raises:
        OSError: When the file can't be written.
        ValueError: When there is no such format.
    """
    with use_look():
        figure.savefig(file)
