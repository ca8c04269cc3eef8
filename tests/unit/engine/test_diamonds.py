"""The diamonds among the links of a survey."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from anabranch_engine import Simulation, Trial, find_diamonds
from hypothesis import given
from hypothesis import strategies as st

Link = tuple[int, int, int, int]
"""A prefix_index, the TTL of the near end, and the number of each end at its hop."""
TOPOLOGIES = sorted((Path(__file__).parents[3] / "examples/topologies").glob("*.txt"))
METRICS = (
    *("max_length", "max_width"),
    *("width_asymmetry", "meshed_ratio", "probability_difference"),
)
BETWEEN_ROUTERS = (
    *("becomes", "router_diamonds"),
    *("router_max_length", "router_max_width"),
)
"""What is null where routers are not known."""
OPEN = [(0, 1, 0, end) for end in range(4)]
"""The first links of Figure 1 of Vermeulen et al. (IMC 2018)."""
END = [(0, 3, end, 0) for end in range(2)]
"""The last links there."""


def make_table(links: list[Link], **types: pa.DataType) -> pa.Table:
    """Links as the engine takes them, or with other types."""
    schema = {
        "prefix_index": pa.uint32(),
        "near_ttl": pa.uint8(),
        "near_addr": pa.binary(16),
        "far_addr": pa.binary(16),
    }
    rows = [
        (prefix, ttl, name(ttl, near), name(ttl + 1, far))
        for prefix, ttl, near, far in links
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    kinds = (schema | types).values()
    arrays = [
        pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)
    ]
    return pa.table(dict(zip(schema, arrays, strict=True)))


def name(ttl: int, number: int) -> bytes:
    """The address of an interface of a hop."""
    return IPv6Address((0x3FFF << 112) + (ttl << 64) + number).packed


def find(links: list[Link]) -> list[dict[str, Any]]:
    """The diamonds, with their metrics alone."""
    rows: list[dict[str, Any]] = pa.table(find_diamonds(make_table(links))).to_pylist()
    return [{metric: row[metric] for metric in METRICS} for row in rows]


def test_figure_1_of_the_paper_has_the_metrics_of_the_paper() -> None:
    """The diamond that is not meshed, and then the one that is."""
    unmeshed = [*OPEN, *((0, 2, near, near % 2) for near in range(4)), *END]
    (row,) = pa.table(find_diamonds(make_table(unmeshed))).to_pylist()
    assert row == {
        "prefix_index": 0,
        "divergence_ttl": 1,
        "divergence_addr": name(1, 0),
        "convergence_ttl": 4,
        "convergence_addr": name(4, 0),
        "max_length": 3,
        "max_width": 4,
        "width_asymmetry": 0,
        "meshed_ratio": 0.0,
        "probability_difference": 0.0,
        **dict.fromkeys(BETWEEN_ROUTERS),
    }
    meshed = [*OPEN, *((0, 2, *ends) for ends in product(range(4), range(2))), *END]
    (found,) = find(meshed)
    assert found.pop("meshed_ratio") == pytest.approx(1 / 3)
    assert tuple(found.values()) == (3, 4, 0, 0.0)


def test_a_lopsided_diamond_is_asymmetric() -> None:
    """One of two interfaces has three next hops, the other has one."""
    split = [(0, 7, 0, 0), (0, 7, 0, 1)]
    wide = [(0, 8, 0, 0), *((0, 8, 1, far) for far in (1, 2, 3))]
    joined = [(0, 9, near, 0) for near in range(4)]
    (found,) = find([*split, *wide, *joined])
    assert found["width_asymmetry"] == 2
    assert found["probability_difference"] == pytest.approx(1 / 2 - 1 / 6)
    assert found["meshed_ratio"] == 0.0


@pytest.mark.parametrize("missing", [(0, 2, 3, 1), (0, 1, 0, 3), (0, 3, 1, 0)])
def test_what_rests_on_links_is_null_where_links_are_missing(missing: Link) -> None:
    """After the divergence point, before the convergence point, and in between."""
    links = [*OPEN, *((0, 2, near, near // 3) for near in range(4)), *END]
    assert None not in find(links)[0].values()
    links.remove(missing)
    assert list(find(links)[0].values()) == [3, 4, None, None, None]


def test_each_prefix_has_its_own_diamonds_and_repeated_links_count_once() -> None:
    """Hops of one prefix say nothing of those of another."""
    two = [(ttl, 0, end) for ttl, end in ((1, 0), (1, 1))]
    links = [(ttl, near, far) for ttl, near, far in (*two, (2, 0, 0), (2, 1, 0))]
    twice = [(prefix, *link) for prefix in (3, 9) for link in links for _ in range(2)]
    table = make_table(twice)
    batches = pa.concat_tables([table.slice(row, 1) for row in range(len(twice))])
    rows = pa.table(find_diamonds(batches)).to_pylist()
    assert [row["prefix_index"] for row in rows] == [3, 9]
    assert {row["max_width"] for row in rows} == {2}
    assert find([]) == find([(0, 1, 0, 0), (1, 1, 0, 1), (1, 2, 1, 0)]) == []


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda file: file.stem)
def test_links_of_a_topology_give_the_diamonds_of_the_topology(topology: Path) -> None:
    """If flows have crossed all of its links."""
    simulation = Simulation(
        prefixes_v4=1,
        prefixes_v6=0,
        vantage_points=1,
        seed=1,
        switches={},
        topologies=[topology],
    )
    ((_, destination),) = simulation.destinations
    links = set()
    for flow in range(2000):
        path = simulation.path(0, destination, 17, flow << 16)
        ends = [*(ip_address(address) for address, _ in path), destination]
        for ttl, (near, far) in enumerate(pairwise(ends), 1):
            links.add((0, ttl, int(near), int(far)))
    trial = Trial(topology, algorithm="mda", failure_probability=0.05, phi=2, seed=1)
    wanted = [
        {metric: getattr(diamond, metric) for metric in METRICS}
        for diamond in trial.diamonds or ()
    ]
    assert find(sorted(links)) == wanted != []


@given(
    st.sets(
        st.tuples(
            st.integers(0, 2), st.integers(1, 6), st.integers(0, 2), st.integers(0, 2)
        )
    )
)
def test_any_links_have_the_diamonds_that_going_along_them_finds(
    links: set[Link],
) -> None:
    """With gaps, at the ends, and one behind another."""
    rows = pa.table(find_diamonds(make_table(sorted(links)))).to_pylist()
    found = [
        (row["prefix_index"], row["divergence_ttl"], row["max_length"]) for row in rows
    ]
    assert found == find_slowly(links)
    for row in rows:
        assert row["convergence_ttl"] == row["divergence_ttl"] + row["max_length"]


def find_slowly(links: set[Link]) -> list[tuple[int, int, int]]:
    """The prefix, divergence TTL and length of each diamond, hop by hop."""
    ends = {
        end
        for prefix, ttl, near, far in links
        for end in ((prefix, ttl, near), (prefix, ttl + 1, far))
    }

    def width(prefix: int, ttl: int) -> int:
        return sum(end[:2] == (prefix, ttl) for end in ends)

    found = []
    for prefix, ttl in product(range(3), range(1, 8)):
        length = 1
        while width(prefix, ttl + length) > 1:
            length += 1
        if length > 1 and width(prefix, ttl) == width(prefix, ttl + length) == 1:
            found.append((prefix, ttl, length))
    return found


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        ([(1, 1, 0, 0), (0, 1, 0, 0)], "sort links by prefix_index and near_ttl"),
        ([(0, 2, 0, 0), (0, 1, 0, 0)], "sort links by prefix_index and near_ttl"),
        ([(0, 255, 0, 0)], "near_ttl is 255; it must be at most 254"),
    ],
)
def test_links_that_can_not_be_used_are_refused(links: list[Link], reason: str) -> None:
    """With what they must be."""
    with pytest.raises(ValueError, match=reason):
        find_diamonds(make_table(links))


def test_columns_that_can_not_be_used_are_refused() -> None:
    """Those of another type, with nulls, or not there."""
    links = make_table([(0, 1, 0, 0)])
    with pytest.raises(ValueError, match="a column near_ttl of uint8 without nulls"):
        find_diamonds(make_table([(0, 1, 0, 0)], near_ttl=pa.int32()))
    with pytest.raises(ValueError, match="a column far_addr of 16-byte fixed-size"):
        find_diamonds(links.drop_columns("far_addr"))
    nulls = pa.array([None], pa.uint32())
    with pytest.raises(ValueError, match="prefix_index of uint32 without nulls"):
        find_diamonds(links.set_column(0, "prefix_index", nulls))
    short = pa.array([b"1234"], pa.binary(4))
    with pytest.raises(ValueError, match="near_addr must be 16-byte fixed-size"):
        find_diamonds(links.set_column(2, "near_addr", short))
