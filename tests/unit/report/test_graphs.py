"""The graphs of a report: their links, their bounds, and how they are embedded."""

from __future__ import annotations

import json

from anabranch.report.graphs import LINKS, Graph, draw_diamond, encode

DIAMOND = {
    "divergence_addr": "10.0.0.1",
    "convergence_addr": "10.0.3.1",
    "divergence_ttl": 3,
    "convergence_ttl": 6,
    "max_width": 4,
    "max_length": 3,
    "agent": "paris",
    "prefix": "240.0.0.0/24",
    "protocol": 17,
}


def link(
    ttl: int, near: str, far: str, flows: int = 1, **others: object
) -> dict[str, object]:
    """A link to the diamond's target, unless it is said to be another."""
    to = {"prefix": "240.0.0.0/24", "protocol": 17} | others
    return {"near_ttl": ttl, "near_addr": near, "far_addr": far, "flows": flows, **to}


def test_a_diamond_has_the_links_between_its_points_to_its_target_alone() -> None:
    """Links of several rows are one."""
    links = [
        link(2, "10.0.9.1", "10.0.0.1"),
        link(3, "10.0.0.1", "10.0.1.1", 2),
        link(3, "10.0.0.1", "10.0.1.1", 3),
        link(3, "10.0.0.1", "10.0.1.2", protocol=1),
        link(3, "10.0.0.1", "10.0.1.3", prefix="240.0.1.0/24"),
        link(5, "10.0.2.1", "10.0.3.1"),
        link(6, "10.0.3.1", "10.0.4.1"),
    ]
    graph = draw_diamond(7, DIAMOND, links)
    assert graph.links == {
        (3, "10.0.0.1", "10.0.1.1"): 5,
        (5, "10.0.2.1", "10.0.3.1"): 1,
    }
    assert graph.name == "7: 4 wide, 3 long"
    assert "as paris met it on the way to 240.0.0.0/24 by UDP" in graph.title


def test_a_graph_has_at_most_so_many_links_those_with_the_most_flows() -> None:
    """And knows how many there are."""
    links = [
        link(3, "10.0.0.1", f"10.1.{n // 256}.{n % 256}", n + 1) for n in range(5_000)
    ]
    graph = draw_diamond(1, DIAMOND, links)
    assert len(graph.links) == LINKS
    assert min(graph.links.values()) == 5_001 - LINKS
    assert graph.found == 5_000


def test_embedded_graphs_have_addresses_in_order_and_end_no_element() -> None:
    """Both IP versions; and names may be hostile."""
    hostile = "</script><script>alert('&')</script>"
    links = {(3, "10.0.0.10", "10.0.0.9"): 2, (4, "3fff::1", "10.0.0.10"): 1}
    text = encode([Graph("group", "name", hostile, links, 2)])
    assert not set("<>&") & set(text)
    assert json.loads(text) == [
        {
            "title": hostile,
            "found": 2,
            "addresses": ["10.0.0.9", "10.0.0.10", "3fff::1"],
            "routers": [],
            "links": [[3, 1, 0, 2], [4, 2, 1, 1]],
        }
    ]


def test_embedded_graphs_tell_which_addresses_are_of_one_router() -> None:
    """By their places, and only where several are in the graph."""
    links = {
        (3, "10.0.0.1", "10.0.0.10"): 1,
        (3, "10.0.0.1", "10.0.0.9"): 1,
        (4, "10.0.0.9", "10.0.0.20"): 1,
    }
    router_of = {
        "10.0.0.9": "10.0.0.2",
        "10.0.0.10": "10.0.0.2",
        "10.0.0.20": "10.0.0.3",
    }
    (graph,) = json.loads(
        encode([Graph("group", "name", "title", links, 3, router_of)])
    )
    assert graph["addresses"] == ["10.0.0.1", "10.0.0.9", "10.0.0.10", "10.0.0.20"]
    assert graph["routers"] == [[1, 2]]
