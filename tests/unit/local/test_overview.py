"""The figure of all diamonds and links of a run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from anabranch.local.overview import draw_overview
from anabranch.local.style import choose_styles
from figures import find_clashes, read_legend

AGENTS = [f"agent-{number:02}" for number in range(24)]


def test_axes_say_what_is_counted_and_how_much_of_it() -> None:
    """Over all agents above, and of each below."""
    diamonds = [("paris", 2, 2, 6), ("paris", 8, 3, 2), ("tokyo", 2, 3, 1_000)]
    links = [("paris", 1, 90), ("paris", 3, 10), ("tokyo", 1, 70)]
    figure = draw_overview(
        "demo", ["paris", "tokyo"], diamonds, [(1, 110), (3, 10)], links
    )
    above, below = figure.axes[:3], figure.axes[3:]
    assert [axes.get_ylabel() for axes in above] == [
        "diamonds (n = 1,008)",
        "diamonds (n = 1,008)",
        "links found first (n = 120)",
    ]
    assert [axes.get_xlabel() for axes in below] == [
        "max width [interfaces]",
        "max length [hops]",
        "round",
    ]
    assert read_legend(figure) == [
        "paris: 8 diamonds, 100 links",
        "tokyo: 1,000 diamonds, 70 links",
    ]


def test_a_ccdf_is_the_share_that_is_at_least_as_wide() -> None:
    """So it begins with all, and never reaches none."""
    diamonds = [("paris", 2, 2, 6), ("paris", 8, 3, 3), ("paris", 96, 3, 1)]
    figure = draw_overview("demo", ["paris"], diamonds, [], [])
    (line,) = figure.axes[3].lines
    shares = np.asarray(line.get_data()).T
    assert dict(map(tuple, shares)) == pytest.approx({2: 1, 8: 0.4, 96: 0.1})
    assert line.get_drawstyle() == "steps-post"
    low, high = figure.axes[3].get_ylim()
    assert low <= 0.1
    assert high > 1


def test_two_dozen_agents_are_told_apart() -> None:
    """By line and by marker where colours come again, in the legend as in the axes."""
    diamonds = [(agent, 2, 2, 1_000_000) for agent in AGENTS]
    links = [(agent, 1, 2_000_000_000) for agent in AGENTS]
    figure = draw_overview("demo", AGENTS, diamonds, [(1, 2_000_000_000)], links)
    assert find_clashes(figure) == []
    assert [text.partition(":")[0] for text in read_legend(figure)] == AGENTS
    (legend,) = figure.legends
    drawn = [
        (line.get_color(), line.get_linestyle(), line.get_marker())
        for line in figure.axes[3].lines
    ]
    shown = [
        (line.get_color(), line.get_linestyle(), line.get_marker())
        for line in legend.get_lines()
    ]
    assert drawn == shown
    assert len(set(drawn)) == len(AGENTS)


def test_as_many_agents_as_can_be_have_styles_of_their_own() -> None:
    """And neighbours share nothing."""
    agents = [str(number) for number in range(252)]
    styles = list(choose_styles(agents).values())
    assert len(set(styles)) == 252
    for one, other in pairwise(styles):
        assert one.color != other.color
        assert one.line_style != other.line_style
        assert one.marker != other.marker


@pytest.mark.parametrize("diamonds", [[], [("paris", 2, 2, 1)]])
def test_a_run_with_next_to_nothing_is_drawn(
    diamonds: list[tuple[str, int, int, int]],
) -> None:
    """What is not there is said, and axes have whole numbers."""
    figure = draw_overview("demo", ["paris", "tokyo"], diamonds, [], [])
    assert find_clashes(figure) == []
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes[:3]]
    assert said == [[] if diamonds else ["none"]] * 2 + [["none"]]
    for axes in figure.axes:
        assert all(tick == int(tick) for tick in axes.get_xticks())


def test_a_long_name_fits_into_the_legend() -> None:
    """As long as Kubernetes allows them."""
    agents = ["a" * 63, "b" * 63, "c"]
    figure = draw_overview("demo", agents, [(agents[0], 2, 2, 10**7)], [], [])
    assert find_clashes(figure) == []
