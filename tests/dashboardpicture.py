"""A picture of the chart's dashboard, with what a Prometheus holds."""

from __future__ import annotations

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

COLUMNS, INCHES = 24, 0.6
"""How wide a dashboard is in its own units, and how large such a unit is drawn."""
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
    figure = Figure(figsize=(COLUMNS * INCHES, rows * INCHES), layout="constrained")
    grid = figure.add_gridspec(rows, COLUMNS)
    shown = {}
    for panel in panels:
        at = panel["gridPos"]
        place = grid[at["y"] : at["y"] + at["h"], at["x"] : at["x"] + at["w"]]
        axes = figure.add_subplot(place)
        axes.set_title(panel["title"], fontsize=9, loc="left", fontweight="bold")
        found = [
            (target.get("legendFormat", ""), series)
            for target in panel["targets"]
            for series in ask(target["expr"])
        ]
        drawn = _draw_number if panel["type"] == "stat" else _draw_lines
        drawn(axes, panel, found)
        shown[panel["title"]] = len(found)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "anabranch"}):
        figure.savefig(file, metadata={"Date": None})
    return shown


def _draw_number(
    axes: Axes, panel: dict[str, Any], found: list[tuple[str, Series]]
) -> None:
    """Draw the last value in the colour of its threshold."""
    axes.set(xticks=[], yticks=[])
    axes.title.set_fontsize(7)
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
    axes: Axes, panel: dict[str, Any], found: list[tuple[str, Series]]
) -> None:
    """Draw each series over time, dashed where the dashboard says so."""
    fields = panel["fieldConfig"]
    dashed = [
        re.compile(override["matcher"]["options"])
        for override in fields.get("overrides", [])
        if override["matcher"]["id"] == "byRegexp"
    ]
    began = min((series.times[0] for _, series in found), default=0.0)
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
    axes.set_ylim(bottom=0)
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
