"""Where traces of other tools belong: which target each is of, and the how manieth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FLOWS_A_TRACE = 1 << 16
"""The flows of a destination's next trace begin at the next multiple of this, so that
replies of different times make no link."""
_ADDRESS = 16


@dataclass(frozen=True)
class Places:
    """The targets of a run, and how many traces each of them has so far."""

    _keys: NDArray[np.bytes_]
    """The protocol and address of each target, sorted."""
    _indexes: NDArray[np.uint32]
    """The numbers of these targets."""
    _blocks: NDArray[np.uint32]
    """Their blocks."""
    _traces: NDArray[np.uint32]
    """How many traces of each were placed."""

    @classmethod
    def of(cls, targets: Path) -> Places:
        """Return the places that a run's file of targets has."""
        columns = ["prefix", "protocol", "prefix_index", "block"]
        table = pq.read_table(targets, columns=columns).combine_chunks()
        keys = _pack(table["protocol"], table["prefix"])
        order = np.argsort(keys)
        return cls(
            keys[order],
            table["prefix_index"].to_numpy()[order],
            table["block"].to_numpy()[order],
            np.zeros(len(keys), np.uint32),
        )

    def place(self, rows: pa.Table) -> tuple[pa.Table, NDArray[np.uint32]]:
        """Return the rows of whole traces as parts have them, and the block of each.

        The traces must be of targets, and are counted as placed.
        """
        is_first = rows["trace_end"].is_valid()
        heads = rows.filter(is_first)
        keys = _pack(heads["probe_protocol"], heads["probe_dst_addr"])
        places = np.searchsorted(self._keys, keys)
        nth = self._count_up(places)
        # The trace of each row among those of the table.
        trace = np.cumsum(is_first.to_numpy()) - 1
        flows = rows["flow"].to_numpy() + (nth * np.uint32(FLOWS_A_TRACE))[trace]
        count = len(rows)
        added = {
            "round": pa.array(np.ones(count, np.uint8)),
            "flow": pa.array(flows.astype(np.uint32)),
            "prefix_index": pa.array(self._indexes[places][trace]),
            "rewritten": pa.nulls(count, pa.uint8()),
            "interface": pa.repeat("", count),
            "gateway": pa.array(repeat(bytes(_ADDRESS), count), pa.binary(_ADDRESS)),
        }
        placed = rows.drop_columns(["trace", "flow"])
        for name, column in added.items():
            field = pa.field(name, column.type, nullable=column.null_count > 0)
            placed = placed.append_column(field, column)
        return placed, self._blocks[places][trace]

    def _count_up(self, places: NDArray[np.intp]) -> NDArray[np.uint32]:
        """Return how many traces of its target come before each of these."""
        order = np.argsort(places, kind="stable")
        targets, starts, counts = np.unique(
            places[order], return_index=True, return_counts=True
        )
        within = np.arange(len(places)) - np.repeat(starts, counts)
        nth = np.empty(len(places), np.uint32)
        nth[order] = within + np.repeat(self._traces[targets], counts)
        self._traces[targets] += counts.astype(np.uint32)
        return nth


def _pack(protocols: pa.ChunkedArray[Any], addresses: Any) -> NDArray[np.bytes_]:
    """Return protocols and addresses of 16 bytes as keys that can be sorted."""
    keys = np.empty((len(protocols), 1 + _ADDRESS), np.uint8)
    keys[:, 0] = protocols.to_numpy()
    octets = addresses.combine_chunks().cast(pa.binary()).to_numpy(zero_copy_only=False)
    keys[:, 1:] = np.frombuffer(b"".join(octets), np.uint8).reshape(-1, _ADDRESS)
    return keys.reshape(-1).view(f"S{1 + _ADDRESS}")
