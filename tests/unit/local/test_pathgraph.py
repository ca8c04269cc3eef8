"""The figure of the paths to one destination."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from anabranch.local.pathgraph import draw_paths, place_nodes
from figures import find_clashes, find_texts, read_legend

if TYPE_CHECKING:
    from anabranch.local.pathgraph import Node

WIDE = (1, 1, 8, 48, 24, 4, 2, 4, 1, 1)
"""The widths of a diamond that Vermeulen et al. met (IMC 2018)."""


def name(ttl: int, number: int, family: int) -> str:
    """An interface, with an address as long as they get."""
    if family == 4:
        return f"203.100.{100 + ttl}.{100 + number}"
    return f"2001:db8:ffff:{ttl:04x}:1234:5678:9abc:{number:04x}"


def weave(
    agent: str, widths: tuple[int, ...], family: int = 4
) -> list[tuple[str, Node, Node, int]]:
    """Links between hops of such widths, each of another number of flows."""
    return [
        (
            agent,
            (ttl, name(ttl, near, family)),
            (ttl + 1, name(ttl + 1, far, family)),
            1 + near + far,
        )
        for ttl, (before, behind) in enumerate(pairwise(widths), start=1)
        for near, far in sorted(
            {(number % before, number % behind) for number in range(before * 2)}
            | {(number % before, number % behind) for number in range(behind)}
        )
    ]


@pytest.mark.parametrize("family", [4, 6])
def test_each_address_can_be_read_however_wide_a_hop_is(family: int) -> None:
    """No text lies on another, all are in the figure, and no address is left out."""
    edges = weave("paris", WIDE, family) + weave("tokyo", (1, *WIDE), family)
    figure = draw_paths("paths", ["paris", "tokyo"], edges)
    assert find_clashes(figure) == []
    nodes = {(agent, node) for agent, *ends, _ in edges for node in ends}
    written = sorted(text for text, _ in find_texts(figure))
    addresses = {address for _, (_, address) in nodes}
    assert [text for text in written if text in addresses] == sorted(
        address for _, (_, address) in nodes
    )


def test_no_link_runs_through_an_address_beside_its_interface() -> None:
    """They begin behind it, whatever its hop is linked with."""
    figure = draw_paths("paths", ["paris"], weave("paris", WIDE))
    flat = [place for text, place in find_texts(figure) if "." in text]
    flat = [place for place in flat if place.width > place.height]
    assert len(flat) == 8 + 48 + 24 + 4 + 4
    (axes,) = figure.axes
    (links,) = (each for each in axes.collections if isinstance(each, LineCollection))
    for path in links.get_paths():
        drawn = path.transformed(axes.transData)
        assert not any(drawn.intersects_bbox(place, filled=False) for place in flat)


def test_the_legend_has_all_agents_and_what_a_line_stands_for() -> None:
    """Those too that found nothing on the way."""
    agents = [f"agent{number}" for number in range(12)]
    edges = weave("agent3", (1, 2, 1)) + weave("agent7", (1, 1))
    figure = draw_paths("paths", agents, edges)
    assert find_clashes(figure) == []
    legend = read_legend(figure)
    assert legend[3] == "agent3: 4 interfaces, 4 links"
    assert legend[7] == "agent7: 2 interfaces, 1 links"
    assert [text.partition(":")[0] for text in legend[:12]] == agents
    assert legend[12:] == ["1 flow", "2 flows"]
    headings = {text for text, _ in find_texts(figure)} & set(agents)
    assert headings == {"agent3", "agent7"}


def test_a_link_is_as_wide_as_it_has_flows() -> None:
    """By comparison with the one that has most."""
    near, far = (1, "192.0.2.1"), (2, "192.0.2.2")
    edges = [("paris", near, far, 50), ("paris", far, (3, "192.0.2.3"), 100)]
    (axes,) = draw_paths("paths", ["paris"], edges).axes
    (links,) = (each for each in axes.collections if isinstance(each, LineCollection))
    one, most = np.asarray(links.get_linewidth())
    assert one < most
    assert (most - one) * 2 == pytest.approx(most - 0.4)


def test_nodes_follow_those_before_them() -> None:
    """So that links that need not cross do not."""
    edges = [
        ((1, "a"), (2, "y"), 1),
        ((1, "a"), (2, "b"), 1),
        ((2, "b"), (3, "z"), 1),
        ((2, "y"), (3, "c"), 1),
    ]
    places = place_nodes(edges)
    assert places[1, "a"] == 0
    assert places[2, "b"] < places[2, "y"]
    assert places[3, "z"] < places[3, "c"]
