"""What the heads of reply parts say, without reading their rows."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from anabranch.store.keys import StepKeys
    from anabranch.store.store import Store

_TAIL_BYTES = 1 << 16
"""A part's footer takes some 10 KiB."""


@dataclass(frozen=True)
class PartCounts:
    """Sums over the parts of a step."""

    probes: int
    """Probes that were sent for them."""
    replies: int
    """Valid replies in them."""


def count_parts(store: Store, keys: StepKeys) -> PartCounts:
    """Probes and replies of a step, as far as its parts are in the store."""
    probes = replies = 0
    for key in store.list(keys.replies):
        if not key.endswith(".parquet"):
            continue  # the kernel's locks and what a kill left unfinished
        metadata = pq.read_metadata(io.BytesIO(store.tail(key, _TAIL_BYTES)))
        head = json.loads((metadata.metadata or {})[b"anabranch.part"])
        probes += head["probes"]
        replies += metadata.num_rows
    return PartCounts(probes, replies)
