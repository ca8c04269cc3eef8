"""What the footer of a part tells without its rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.parts import find_bounds, read_footer

if TYPE_CHECKING:
    from pathlib import Path


def test_bounds_are_those_of_all_row_groups(tmp_path: Path) -> None:
    """Behind columns that have several of their own; nothing where all is null."""
    rows = pa.table(
        {
            "labels": pa.array([[{"a": 1, "b": 2}]] * 4),
            "began": pa.array([7, None, 3, 9], pa.uint64()),
            "ended": pa.nulls(4, pa.uint64()),
        }
    )
    out = io.BytesIO()
    pq.write_table(rows, out, row_group_size=2)
    store = DirectoryStore(tmp_path)
    store.put("part", out.getvalue())
    footer = read_footer(store, "part")
    assert sorted(find_bounds(footer, "began")) == [3, 7, 7, 9]
    assert find_bounds(footer, "ended") == []
