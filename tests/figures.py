"""What is to be read in a figure, and where."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


def find_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """All that is written, and its place in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw(renderer)
    beyond = _find_labels_beyond(figure)
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_visible() and text.get_text().strip()
        if text not in beyond
    ]


def _find_labels_beyond(figure: Figure) -> set[Text]:
    """Labels that an axis keeps for what is beyond its ends, and does not draw."""
    labels: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            rounding = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - rounding <= tick.get_loc() <= high + rounding:
                    labels |= {tick.label1, tick.label2}
    return labels


def find_clashes(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on one another, and texts that leave the figure."""
    texts = find_texts(figure)
    clashes = [
        (one, other)
        for (one, place), (other, taken) in combinations(texts, 2)
        if place.overlaps(taken)
    ]
    whole = figure.bbox
    clashes += [
        (text, "edge of the figure")
        for text, place in texts
        if not whole.x0 <= place.x0 <= place.x1 <= whole.x1
        or not whole.y0 <= place.y0 <= place.y1 <= whole.y1
    ]
    return clashes


def read_legend(figure: Figure) -> list[str]:
    """What the legend says."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]
