"""Find, count and unite 64-bit hashes, in arrays of many millions.

NumPy sorts or searches for these, which takes five to ten times as long as Arrow's hash
tables or one sort of integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]


def find_places(hashes: Hashes, wanted: Hashes) -> Numbers:
    """Return where each of ``wanted`` is among distinct hashes, or -1."""
    found = pc.index_in(pa.array(wanted), value_set=pa.array(hashes))
    places: Numbers = found.fill_null(-1).to_numpy().astype(np.int64)
    return places


def are_among(hashes: Hashes, wanted: Hashes) -> NDArray[np.bool_]:
    """Return which of ``wanted`` are among these."""
    found = pc.is_in(pa.array(wanted), value_set=pa.array(hashes))
    among: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return among


def take_once(hashes: Hashes) -> Hashes:
    """Return each hash once, sorted."""
    ordered = np.sort(hashes)
    once: Hashes = ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]
    return once


def add_up(hashes: Hashes, numbers: Numbers) -> tuple[Hashes, Numbers]:
    """Return each hash once, sorted, with the sum of its numbers."""
    if not len(hashes):
        return hashes, numbers
    found = pa.array(hashes).dictionary_encode()
    once = found.dictionary.to_numpy()
    # Sums below 2^53 are exact in the floats of bincount.
    sums = np.bincount(found.indices.to_numpy(), numbers, len(once)).astype(np.int64)
    order = np.argsort(once)
    return once[order], sums[order]
