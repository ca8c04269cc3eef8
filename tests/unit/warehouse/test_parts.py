"""What the parts of a step add up to."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.rounds.steps import FIRST
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys
from anabranch.warehouse.parts import PartCounts, count_parts
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


def test_parts_of_several_probers_add_up(tmp_path: Path) -> None:
    """What each has counted once; prefixes without a route once for each block."""
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
