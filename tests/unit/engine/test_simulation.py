"""A simulated Internet, as Python sees it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from anabranch_engine import Simulation


def simulate(**changes: int) -> Simulation:
    sizes = {"prefixes_v4": 10, "prefixes_v6": 10, "vantage_points": 2, "seed": 1}
    sizes |= changes
    return Simulation(
        prefixes_v4=sizes["prefixes_v4"],
        prefixes_v6=sizes["prefixes_v6"],
        vantage_points=sizes["vantage_points"],
        seed=sizes["seed"],
        switches={},
    )


def test_a_path_is_the_same_for_the_same_seed() -> None:
    """And merges with those from elsewhere."""
    to = ip_address("240.0.3.7")
    one, other = (simulate().path(point, to, 17, 5) for point in (0, 1))
    assert one == simulate().path(0, to, 17, 5)
    assert one[:3] != other[:3]
    assert one[-1] == other[-1]


def test_there_is_no_path_to_what_is_not_there() -> None:
    """Nor from a vantage point that is not."""
    assert simulate().path(0, ip_address("240.0.10.1"), 17, 5) == []
    assert simulate().path(0, ip_address("3fff:0:0:a::1"), 17, 5) == []
    with pytest.raises(ValueError, match="there is no vantage point 2"):
        simulate().path(2, ip_address("240.0.3.7"), 17, 5)
