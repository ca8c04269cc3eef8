"""Clusters of one machine have nothing in common."""

from __future__ import annotations

from itertools import combinations

import pytest

from devcluster.layout import MAX_CLUSTERS, MAX_NODES, PODS, SERVICES, Layout

LONGEST_LINK = 15  # IFNAMSIZ, without the end


def test_no_two_clusters_share_a_name_or_a_network() -> None:
    """However many there are, each with as many nodes as it can have."""
    layouts = [Layout(number, MAX_NODES) for number in range(MAX_CLUSTERS)]
    names = [
        name
        for layout in layouts
        for name in (layout.host_link, *(each.unique_name for each in layout.members))
    ]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= LONGEST_LINK
    for one, other in combinations([layout.network for layout in layouts], 2):
        assert not one.overlaps(other)


def test_addresses_within_a_cluster_are_its_own() -> None:
    """Of machines, of this host, of pods and of services."""
    layout = Layout(MAX_CLUSTERS - 1, MAX_NODES)
    addresses = [layout.host_address, *(each.address for each in layout.members)]
    assert len(set(addresses)) == len(addresses)
    assert all(address in layout.network for address in addresses)
    pods = [node.pods for node in layout.nodes if node.pods]
    assert len(set(pods)) == MAX_NODES
    assert all(each.subnet_of(PODS) for each in pods)
    for one, other in combinations((layout.network, PODS, SERVICES), 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize(
    ("number", "size", "reason"),
    [
        (-1, 2, "numbers from 0 to 99"),
        (100, 2, "numbers from 0 to 99"),
        (0, 0, "1 to 50 nodes"),
        (0, 51, "1 to 50 nodes"),
    ],
)
def test_what_there_is_no_room_for_is_refused(
    number: int, size: int, reason: str
) -> None:
    """With what there is room for."""
    with pytest.raises(ValueError, match=reason):
        Layout(number, size)
