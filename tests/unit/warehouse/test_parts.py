"""What the parts of a step add up to."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.rounds.steps import FIRST
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys
from anabranch.warehouse.parts import PartCounts, count_parts, find_blocks
from parts import make_head

if TYPE_CHECKING:
    from pathlib import Path

KEYS = RunKeys("uid", "1", "agent1").step(FIRST)


def put(
    store: DirectoryStore, block: int, start: int, head: dict[bytes, bytes]
) -> None:
    """Puts a part with two replies."""
    rows = pa.table({"flow": pa.array([0, 1], pa.uint32())})
    out = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata(head), out)
    store.put(f"{KEYS.parts(block)}/{start:016}.parquet", out.getvalue())


@pytest.mark.parametrize("heads", [1, 3, 1000])
def test_parts_of_several_probers_add_up(
    tmp_path: Path, heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each has counted once; prefixes without a route once for each block."""
    monkeypatch.setattr("anabranch.warehouse.parts._HEADS", heads)
    store = DirectoryStore(tmp_path)
    put(store, 0, 0, make_head(10, unroutable=3, sent=12, forbidden=1, dropped=4))
    later = make_head(10, unroutable=3, sent=20, forbidden=2, dropped=5, further=2)
    put(store, 0, 16, later)
    # Another prober went on behind these.
    put(store, 0, 32, make_head(10, unroutable=4, sent=10, unsent=6, dropped=1))
    put(store, 1, 0, make_head(10, 1, unroutable=2, sent=20, unsent=7, dropped=1))
    assert count_parts(store, KEYS) == PartCounts(
        *(40, 8),
        unroutable=6,
        forbidden=2,
        unsent=7,
        dropped=6,
        traced=0,
        further=2,
    )


def test_a_step_without_parts_has_nothing(tmp_path: Path) -> None:
    """As before its first one."""
    assert count_parts(DirectoryStore(tmp_path), KEYS) == PartCounts(*[0] * 8)
    assert find_blocks(DirectoryStore(tmp_path), KEYS) == []


def test_blocks_are_those_with_parts(tmp_path: Path) -> None:
    """Not those of which a kill has left no whole one."""
    store = DirectoryStore(tmp_path)
    for block in (12, 3):
        put(store, block, 0, make_head(10, block))
    store.put(f"{KEYS.parts(7)}/lock", b"")
    assert find_blocks(store, KEYS) == [3, 12]
