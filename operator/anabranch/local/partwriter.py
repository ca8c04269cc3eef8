"""Parts of what other tools found, as a prober would have put them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from anabranch.store.directory import DirectoryStore
    from anabranch.store.keys import StepKeys

_PART_ROWS = 1 << 18


@dataclass
class _Block:
    """What waits for the next part of a block."""

    held: list[pa.Table] = field(default_factory=list)
    start: int = 0
    """The slot at which the next part begins."""


@dataclass
class PartWriter:
    """What gathers the rows of a step's blocks, and puts them into the store."""

    store: DirectoryStore
    keys: StepKeys
    scratch: Path
    _blocks: defaultdict[int, _Block] = field(
        default_factory=lambda: defaultdict(_Block)
    )

    def add(self, rows: pa.Table, blocks: NDArray[np.uint32]) -> None:
        """Take rows, replies or whole traces, with the block of each."""
        numbers = [int(block) for block in np.unique(blocks)]
        for block in numbers:
            held = self._blocks[block].held
            is_alone = len(numbers) == 1
            held.append(rows if is_alone else rows.filter(pa.array(blocks == block)))
            if sum(map(len, held)) >= _PART_ROWS:
                self._put(block)

    def close(self) -> None:
        """Put what is left."""
        for block, its in self._blocks.items():
            if its.held:
                self._put(block)

    def _put(self, block: int) -> None:
        its = self._blocks[block]
        rows = pa.concat_tables(its.held)
        its.held = []
        replies = len(rows) - rows["reply_protocol"].null_count
        of_traces = "trace_end" in rows.column_names
        slots = len(rows) - rows["trace_end"].null_count if of_traces else len(rows)
        head = {
            "plan": "",
            "block": block,
            "start": its.start,
            "end": its.start + slots,
            # Files of replies do not tell how many probes had none.
            "probes": int(np.count_nonzero(rows["attempt"].to_numpy()))
            if of_traces
            else replies,
            "replies": replies,
            "traced": slots if of_traces else 0,
            "unroutable": 0,
            # A prober's counts never fall; these stand still.
            "counts": dict.fromkeys(("sent", "forbidden", "unsent", "dropped"), 0),
        }
        metadata = {"anabranch.part": json.dumps(head)}
        draft = self.scratch / "part.parquet"
        pq.write_table(
            rows.replace_schema_metadata(metadata), draft, compression="zstd"
        )
        key = f"{self.keys.parts(block)}/{its.start:016}.parquet"
        self.store.put_file(key, draft)
        draft.unlink()
        its.start += slots
