"""Charts of a report, as a reader sees them."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from anabranch.report.charts import (
    draw_cdf,
    draw_heat_map,
    draw_histogram,
    find_quantile,
    make_bins,
)

WIDTHS = {2: 90_000, 3: 1, 48: 700, 56: 500, 96: 1}


def read(chart: str) -> ET.Element:
    """A chart, which must be XML and say what it shows."""
    svg = ET.fromstring(chart)  # noqa: S314 (it is our own)
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "about"
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for each in svg.iter():
        for name, most in (("x", width), ("y", height)):
            assert 0 <= float(each.get(name, 0)) <= most
        size = float(each.get("height", 0)), float(each.get("width", 0))
        assert min(size) >= 0
    return svg


def read_texts(svg: ET.Element, kind: str) -> list[tuple[str, float, float]]:
    """What is written by texts of a kind, and where."""
    return [
        (each.text or "", float(each.attrib["x"]), float(each.attrib["y"]))
        for each in svg.iter("text")
        if kind in each.attrib["class"].split()
    ]


@pytest.mark.parametrize(("low", "high"), [(2, 2), (2, 25), (1, 26), (2, 96), (3, 255)])
def test_bins_hold_each_value_once(low: int, high: int) -> None:
    """Few of them, and one a value where there are few values."""
    bins = make_bins(low, high)
    values = [value for each in bins for value in range(each.first, each.last + 1)]
    assert values[: high - low + 1] == list(range(low, high + 1))
    assert len(bins) <= 24
    assert len(make_bins(1, 1 << 32)) < 70
    if high - low < 24:
        assert len(bins) == high - low + 1


def test_a_histogram_has_a_bar_for_each_bin_with_diamonds() -> None:
    """What a bar stands for is its title; rare widths are seen beside common ones."""
    svg = read(draw_histogram("about", "interfaces", WIDTHS))
    bars = [each for each in svg.iter("rect") if each.get("class") == "bar"]
    titles = [bar[0].text for bar in bars]
    assert titles == ["2: 90,000", "3: 1", "33-48: 700", "49-64: 500", "65-96: 1"]
    assert all(float(bar.attrib["height"]) > 2 for bar in bars)
    assert "10k" in [text for text, *_ in read_texts(svg, "end")]


@pytest.mark.parametrize("counts", [WIDTHS, {2: 3}, {n: n for n in range(2, 26)}])
def test_labels_do_not_touch_one_another(counts: dict[int, int]) -> None:
    """Along the axis; a digit takes 7 pixels at most."""
    svg = read(draw_histogram("about", "interfaces", counts))
    texts = [
        (x - 3.5 * len(text), x + 3.5 * len(text))
        for text, x, _ in read_texts(svg, "tick")
        if (text, x) in [(t, at) for t, at, _ in read_texts(svg, "middle")]
    ]
    assert texts
    assert all(end < start for (_, end), (start, _) in pairwise(texts))


def test_a_line_rises_at_each_value_to_its_share() -> None:
    """A class for each line, and an axis by powers of two if values are far apart."""
    series = {
        "measured": [(2.0, 0.5), (8.0, 0.75), (64.0, 1.0)],
        "distinct": [(2.0, 1.0)],
    }
    svg = read(draw_cdf("about", "interfaces", series, is_whole=True))
    first, second = svg.iter("path")
    assert [first.get("class"), second.get("class")] == [
        "line measured",
        "line distinct",
    ]
    heights = [float(y) for y in re.findall(r"V([\d.]+)", first.attrib["d"])]
    bottom, top = 172, 8
    shares = [(bottom - y) / (bottom - top) for y in heights]
    assert shares == pytest.approx([0.5, 0.75, 1], abs=0.001)
    ticks = [text for text, *_ in read_texts(svg, "middle")]
    assert ticks == ["2", "4", "8", "16", "32", "64", "interfaces"]


def test_a_line_of_many_values_is_no_longer_than_the_chart_is_wide() -> None:
    """The last of the values at one place counts."""
    count = 100_000
    series = {
        "measured": [(value / count, value / count) for value in range(count + 1)]
    }
    svg = read(draw_cdf("about", "ratio", series, is_whole=False))
    (line,) = svg.iter("path")
    assert len(line.attrib["d"]) < 50_000
    assert line.attrib["d"].endswith("V8H312")


def test_a_heat_map_has_a_cell_for_each_pair_with_diamonds() -> None:
    """Its text is the share in percent, its title says all."""
    counts = {(2, 2): 95, (2, 48): 4, (9, 96): 1}
    svg = read(draw_heat_map("about", ("hops long", "interfaces wide"), counts))
    titles = [each.text for each in svg.iter("title")]
    assert titles == [
        "hops long 2, interfaces wide 2: 95 (95.00%)",
        "hops long 2, interfaces wide 33-48: 4 (4.00%)",
        "hops long 9, interfaces wide 65-96: 1 (1.00%)",
    ]
    assert [text for text, *_ in read_texts(svg, "cell-text")] == ["95", "4", "1"]
    shades = [
        float(each.attrib["fill-opacity"])
        for each in svg.iter("rect")
        if each.get("class") == "cell"
    ]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] == 1


def test_a_quantile_is_the_lowest_value_with_that_share_up_to_it() -> None:
    """Its own share counts."""
    points = [(2.0, 0.5), (3.0, 0.9), (9.0, 1.0)]
    assert [find_quantile(points, share) for share in (0.5, 0.6, 0.9, 0.99)] == [
        2,
        3,
        3,
        9,
    ]
