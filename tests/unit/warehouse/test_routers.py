"""Pairs of addresses, and the sets of aliases that they are of."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from anabranch_engine import find_routers

from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.routers import group_addresses, place_pairs

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = [
    (1, 2, "accept"),
    (2, 3, "accept"),
    (1, 3, "reject"),
    (4, 5, "accept"),
    (5, 6, "reject"),
    (1, 4, "reject"),
    (7, 8, "undetermined"),
]
"""Two sets of aliases, of which the first one is in conflict."""


def address(number: int) -> bytes:
    """An address as rows have it."""
    return IPv6Address((0x3FFF << 112) + number).packed


def test_the_pairs_of_a_set_in_conflict_tell_what_tears_it(tmp_path: Path) -> None:
    """Those of two sets, and those of none, are not among them."""
    first, second, verdicts = zip(*PAIRS, strict=True)
    pairs = pa.table(
        {
            "first_addr": pa.array([address(one) for one in first], pa.binary(16)),
            "second_addr": pa.array([address(one) for one in second], pa.binary(16)),
            "verdict": verdicts,
        }
    )
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    pq.write_table(pa.table(find_routers(pairs)), tmp_path / "routers.parquet")
    tables = [
        f"(SELECT * FROM file('{tmp_path}/{name}.parquet', 'Parquet'))"
        for name in ("pairs", "routers")
    ]
    rows = open_embedded().read(place_pairs(*tables)).to_pylist()
    numbers = {address(number): number for number in range(1, 9)} | {bytes(16): 0}
    found = {
        (numbers[row["first_addr"]], numbers[row["second_addr"]]): (
            numbers[row["router_addr"]],
            row["is_in_conflict"],
        )
        for row in rows
    }
    assert found == {
        **dict.fromkeys([(1, 2), (2, 3), (1, 3)], (1, 1)),
        (4, 5): (4, 0),
        **dict.fromkeys([(5, 6), (1, 4), (7, 8)], (0, 0)),
    }


def test_a_router_is_of_several_addresses_in_order() -> None:
    """As numbers, not as texts."""
    router_of = {"10.0.0.10": "a", "10.0.0.9": "a", "10.0.0.1": "b", "3fff::1": "c"}
    assert group_addresses(router_of) == [["10.0.0.9", "10.0.0.10"]]
