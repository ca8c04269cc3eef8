"""The figure of the distributions of diamonds' metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anabranch.local.distributions import draw_distributions
from figures import find_clashes, read_legend

METRICS = (
    *("max_width", "max_length", "width_asymmetry"),
    *("probability_difference", "meshed_ratio"),
)


def distribute(values: dict[float, int], metric: str, counted: str) -> list[Any]:
    """The rows of a metric's distribution."""
    total, up_to, rows = sum(values.values()), 0, []
    for value, diamonds in sorted(values.items()):
        up_to += diamonds
        rows.append(
            {
                "counted": counted,
                "metric": metric,
                "value": value,
                "diamonds": diamonds,
                "cumulative_share": up_to / total,
            }
        )
    return rows


def make_sizes(sizes: dict[tuple[int, int], int], counted: str) -> list[Any]:
    """The rows of the joint distribution."""
    return [
        {
            "counted": counted,
            "max_length": length,
            "max_width": width,
            "diamonds": diamonds,
        }
        for (length, width), diamonds in sizes.items()
    ]


def read_cells(cells: Any) -> list[float]:
    """What is in the cells that are not empty, as masked arrays have it."""
    counts: list[float] = cells.get_array().compressed().tolist()
    return counts


def test_lines_rise_at_each_value_and_cells_hold_what_there_is() -> None:
    """Measured and distinct diamonds side by side."""
    widths = {2.0: 6, 8.0: 3, 96.0: 1}
    rows = [
        row
        for counted in ("distinct", "measured")
        for metric in METRICS
        for row in distribute(
            widths if metric == "max_width" else {0.0: 9, 1.0: 1}, metric, counted
        )
    ]
    sizes = make_sizes({(2, 2): 6, (3, 8): 3, (2, 96): 1}, "measured")
    sizes += make_sizes({(2, 2): 1}, "distinct")
    figure = draw_distributions("demo", rows, sizes)
    assert find_clashes(figure) == []
    first = figure.axes[0]
    assert first.get_xscale() == "log"
    line = np.asarray(first.lines[0].get_data())
    assert line[0] == pytest.approx([2, 2, 8, 96])
    assert line[1] == pytest.approx([0, 0.6, 0.9, 1])
    assert read_legend(figure) == [
        "10 measured diamonds, 10 with all metrics",
        "10 distinct diamonds, 10 with all metrics",
    ]
    (cells,) = figure.axes[5].collections
    assert sorted(read_cells(cells)) == [1, 3, 6]


def test_a_run_without_diamonds_is_drawn() -> None:
    """What is not there is said."""
    figure = draw_distributions("demo", [], [])
    assert find_clashes(figure) == []
    assert [axes.texts[0].get_text() for axes in figure.axes[-2:]] == ["none", "none"]


def test_very_wide_diamonds_have_few_cells() -> None:
    """However wide they are."""
    sizes = make_sizes({(2, 2): 1, (250, 60_000): 2}, "measured")
    figure = draw_distributions("demo", [], sizes)
    (cells,) = figure.axes[5].collections
    assert np.asarray(cells.get_array()).size < 130 * 130
    assert read_cells(cells) == [1, 2]
