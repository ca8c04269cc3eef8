"""The distributions of diamonds' metrics: charts, and a table of quantiles."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from anabranch.report.charts import draw_cdf, find_quantile
from anabranch.report.markup import Markup, element
from anabranch.report.tables import Column, draw_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Row = dict[str, Any]
    Points = list[tuple[float, float]]
    """Values of a metric, and the share of diamonds up to each."""

SHARES = {"probability_difference", "meshed_ratio"}
"""The metrics that are no whole numbers."""
COUNTED = ("measured", "distinct")
METRICS = {
    "max_width": ("Max width", "interfaces"),
    "max_length": ("Max length", "hops"),
    "width_asymmetry": ("Width asymmetry", "links"),
    "probability_difference": ("Probability difference", "difference"),
    "meshed_ratio": ("Ratio of meshed hops", "ratio"),
}
"""The name of each metric, and what it counts."""


def read_points(rows: Iterable[Row]) -> dict[str, dict[str, Points]]:
    """Return the distribution of each metric, by how diamonds are counted.

    The rows are those of the table ``diamond_distributions``.
    """
    points: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        known = points[row["metric"]][row["counted"]]
        known.append((row["value"], row["cumulative_share"]))
    return points


def draw_metric(metric: str, series: Mapping[str, Points], counts: str = "") -> Markup:
    """Draw the distribution of a metric; of shares, which mostly are 0, of the others.

    A line has the class that its series is called. ``counts`` says what the metric
    counts, if it is not what ``METRICS`` says. Return nothing if nothing is known.
    """
    note = "The share of diamonds up to a value"
    drawn = {name: points for name, points in series.items() if points}
    if metric in SHARES:
        note = "The same, of the diamonds where it is not 0"
        left = {name: _leave_out_0(points) for name, points in drawn.items()}
        drawn = {name: points for name, points in left.items() if points}
    if not drawn:
        return Markup()
    chart = draw_cdf(
        describe(metric, series),
        counts or METRICS[metric][1],
        drawn,
        is_whole=metric not in SHARES,
    )
    return draw_figure(METRICS[metric][0], note, chart)


def _leave_out_0(points: Points) -> Points:
    zeros = sum(share for value, share in points if value == 0)
    return [(value, (share - zeros) / (1 - zeros)) for value, share in points if value]


def draw_figure(title: str, note: str, chart: Markup) -> Markup:
    """Return a chart with what it shows above it."""
    caption = element("figcaption", title, element("small", note))
    return element("figure", caption, chart)


def draw_key(series: Mapping[str, str]) -> Markup:
    """Return what the lines of charts stand for, by the names of series."""
    samples = [
        element(
            "span",
            element(
                "svg",
                element("path", d="M0 6H32", class_=f"line {name}"),
                viewBox="0 0 32 12",
                aria_hidden="true",
            ),
            told,
        )
        for name, told in series.items()
    ]
    return element("div", *samples, class_="key")


def describe(metric: str, series: Mapping[str, Points]) -> str:
    """Return in words what a chart of a metric shows."""
    told = (
        f"{name}: from {write_value(points[0][0])}, which "
        f"{points[0][1]:.0%} have, to {write_value(points[-1][0])}, median "
        f"{write_value(find_quantile(points, 0.5))}"
        for name, points in sorted(series.items(), reverse=True)
        if points
    )
    return f"{METRICS[metric][0]}. {'; '.join(told).capitalize()}."


def write_value(value: float | None) -> str:
    """Return a metric's value; nothing if it is not known."""
    return "" if value is None else f"{round(value, 2):g}"


def draw_quantiles(caption: str, points: dict[str, dict[str, Points]]) -> Markup:
    """Return a table of the distributions of all metrics."""
    rows = [
        (METRICS[metric][0], counted, points[metric][counted])
        for metric in METRICS
        for counted in COUNTED
        if points[metric][counted]
    ]

    def quantile(share: float) -> Callable[[tuple[str, str, Points]], str]:
        return lambda row: write_value(find_quantile(row[2], share))

    columns: list[Column[tuple[str, str, Points]]] = [
        Column("Metric", lambda row: row[0], None),
        Column("Diamonds", lambda row: row[1], None),
        Column("Least", lambda row: write_value(row[2][0][0])),
        Column("Share of it", lambda row: f"{row[2][0][1]:.1%}"),
        Column("Median", quantile(0.5)),
        Column("90 % up to", quantile(0.9)),
        Column("99 % up to", quantile(0.99)),
        Column("Largest", lambda row: write_value(row[2][-1][0])),
    ]
    return draw_table(caption, columns, rows)
