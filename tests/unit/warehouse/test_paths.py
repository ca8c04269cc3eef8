"""Links on the paths to a target, between routers."""

from __future__ import annotations

from anabranch.warehouse.paths import merge_routers


def test_links_between_two_routers_are_one() -> None:
    """With the flows of all, and by the addresses that are there."""
    edges = [
        ("paris", (3, "10.0.0.1"), (4, "10.0.0.10"), 2),
        ("paris", (3, "10.0.0.1"), (4, "10.0.0.9"), 3),
        ("paris", (4, "10.0.0.9"), (5, "10.0.0.20"), 5),
        ("tokyo", (3, "10.0.0.1"), (4, "10.0.0.9"), 7),
    ]
    router_of = {
        **dict.fromkeys(("10.0.0.2", "10.0.0.9", "10.0.0.10"), "10.0.0.2"),
        **dict.fromkeys(("10.0.0.3", "10.0.0.20"), "10.0.0.3"),
    }
    assert merge_routers(edges, router_of) == [
        ("paris", (3, "10.0.0.1"), (4, "10.0.0.9 +1"), 5),
        ("paris", (4, "10.0.0.9 +1"), (5, "10.0.0.20"), 5),
        ("tokyo", (3, "10.0.0.1"), (4, "10.0.0.9 +1"), 7),
    ]
    assert merge_routers(edges, {}) == edges
