"""Where paths part and meet again."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.diamonds import find_diamonds

Hop = tuple[int, int, int]
"""A prefix_index, a TTL, and a width."""


def find(hops: list[Hop]) -> list[tuple[int, int, int, int, int]]:
    """Prefix, divergence and convergence TTL, max_length and max_width."""
    table = pa.table(
        {
            "prefix_index": pa.array([hop[0] for hop in hops], pa.uint32()),
            "ttl": pa.array([hop[1] for hop in hops], pa.uint8()),
            "width": pa.array([hop[2] for hop in hops], pa.uint64()),
            "addr": pa.array([f"{hop[0]}.{hop[1]}" for hop in hops], pa.string()),
        }
    )
    found = []
    for row in find_diamonds(table).to_pylist():
        prefix, start, end = (
            row["prefix_index"],
            row["divergence_ttl"],
            row["convergence_ttl"],
        )
        assert row["divergence_addr"] == f"{prefix}.{start}"
        assert row["convergence_addr"] == f"{prefix}.{end}"
        found.append((prefix, start, end, row["max_length"], row["max_width"]))
    return found


def find_slowly(hops: list[Hop]) -> list[tuple[int, int, int, int, int]]:
    """The same, hop by hop."""
    widths = {(prefix, ttl): width for prefix, ttl, width in hops}
    found = []
    for prefix, ttl, width in hops:
        end = ttl + 1
        while widths.get((prefix, end), 0) > 1:
            end += 1
        if width == 1 and end > ttl + 1 and widths.get((prefix, end)) == 1:
            widest = max(widths[prefix, between] for between in range(ttl + 1, end))
            found.append((prefix, ttl, end, end - ttl, widest))
    return found


def test_a_diamond_lies_between_two_hops_of_one_interface() -> None:
    """What has no end, or a silent hop inside, is none."""
    widths = [1, 1, 4, 2, 1, 3, 1, 1, 2]
    hops = [(0, ttl, width) for ttl, width in enumerate(widths, 1)]
    hops += [(1, 1, 1), (1, 2, 2), (1, 4, 2), (1, 5, 1)]
    assert find(hops) == [(0, 2, 5, 3, 4), (0, 5, 7, 2, 3)]
    assert find([]) == []


@given(
    st.dictionaries(st.tuples(st.integers(0, 3), st.integers(1, 12)), st.integers(1, 3))
)
def test_any_hops_have_the_diamonds_that_going_along_them_finds(
    widths: dict[tuple[int, int], int],
) -> None:
    """With gaps, at the ends, and one behind another."""
    hops = sorted((*place, width) for place, width in widths.items())
    assert find(hops) == find_slowly(hops)
