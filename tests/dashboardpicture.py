"""A picture of the chart's dashboard, with what a Prometheus holds."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

COLUMNS, WIDTH, HEIGHT = 24, 0.6, 0.35
"""How wide a dashboard is in its own units, and such a unit in inches."""
BACKGROUNDS = {
    "green": "#73BF69",
    "orange": "#FF9830",
    "red": "#F2495C",
    "blue": "#5794F2",
}
UNITS = {"pps": "pkt/s", "s": "s", "bytes": "B", "short": ""}


@dataclass(frozen=True)
class Series:
    """The values that a query had."""

    labels: dict[str, str]
    times: list[float]
    """In seconds since 1970."""
    values: list[float]


Ask = Callable[[str], list[Series]]
"""Returns what a query had over a time."""


def draw(dashboard: dict[str, Any], ask: Ask, file: Path) -> dict[str, int]:
    """Draw a dashboard as SVG; return how many series each panel shows, by title."""
    panels = dashboard["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(COLUMNS * WIDTH, rows * HEIGHT), layout="constrained")
    grid = figure.add_gridspec(rows, COLUMNS)
    found = [
        [
            (target.get("legendFormat", ""), series)
            for target in panel["targets"]
            for series in ask(target["expr"])
        ]
        for panel in panels
    ]
    times = [at for each in found for _, series in each for at in series.times]
    span = (min(times, default=0.0), max(times, default=0.0))
    for panel, series in zip(panels, found, strict=True):
        at = panel["gridPos"]
        place = grid[at["y"] : at["y"] + at["h"], at["x"] : at["x"] + at["w"]]
        axes = figure.add_subplot(place)
        is_number = panel["type"] == "stat"
        size = 6 if is_number else 9
        axes.set_title(panel["title"], fontsize=size, loc="left", fontweight="bold")
        if is_number:
            _draw_number(axes, panel, series)
        else:
            _draw_lines(axes, panel, series, span)
    style = rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "anabranch",
            # Each text names all fonts that it may have.
            "font.sans-serif": ["DejaVu Sans"],
        }
    )
    text = io.StringIO()
    with style:
        figure.savefig(text, format="svg", metadata={"Date": None})
    # Coordinates take most of the file; a hundredth of a point is more than enough.
    file.write_text(re.sub(r"(\.\d\d)\d+", r"\1", text.getvalue()))
    titles = (panel["title"] for panel in panels)
    return dict(zip(titles, map(len, found), strict=True))


def _draw_number(
    axes: Axes, panel: dict[str, Any], found: list[tuple[str, Series]]
) -> None:
    """Draw the last value in the colour of its threshold."""
    axes.set(xticks=[], yticks=[])
    if not found:
        return
    fields = panel["fieldConfig"]["defaults"]
    value = found[0][1].values[-1]
    color = "blue"
    for step in fields["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    text = _write(value, fields["unit"])
    for mapping in fields.get("mappings", []):
        text = mapping["options"].get(f"{value:g}", {}).get("text", text)
    axes.set_facecolor(BACKGROUNDS[color])
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=14)


def _draw_lines(
    axes: Axes,
    panel: dict[str, Any],
    found: list[tuple[str, Series]],
    span: tuple[float, float],
) -> None:
    """Draw each series over a time, dashed where the dashboard says so."""
    fields = panel["fieldConfig"]
    dashed = [
        re.compile(override["matcher"]["options"])
        for override in fields.get("overrides", [])
        if override["matcher"]["id"] == "byRegexp"
    ]
    began, ended = span
    for pattern, series in found:
        label = pattern
        for name, value in series.labels.items():
            label = label.replace(f"{{{{{name}}}}}", value)
        style = "--" if any(each.fullmatch(label) for each in dashed) else "-"
        times = [each - began for each in series.times]
        axes.plot(times, series.values, style, label=label, linewidth=1.2)
    unit = fields["defaults"].get("unit", "short")
    is_share = unit == "percentunit"
    axes.yaxis.set_major_formatter(
        PercentFormatter(1, decimals=0) if is_share else EngFormatter(UNITS[unit])
    )
    axes.xaxis.set_major_formatter(EngFormatter("s"))
    axes.set_xlim(0, max(ended - began, 1))
    most = max((max(series.values) for _, series in found), default=0.0)
    axes.set_ylim(bottom=0, top=None if most else 1)
    axes.locator_params(nbins=4)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.grid(linewidth=0.3)
    if found:
        axes.legend(fontsize=6, loc="upper left")
    else:
        axes.text(0.5, 0.5, "No data", ha="center", transform=axes.transAxes)


def _write(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value:.0%}"
    return f"{value:.3g} {UNITS[unit]}".strip()
