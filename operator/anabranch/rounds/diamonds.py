"""Diamonds: where the paths to a prefix part, and where they meet again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def find_diamonds(hops: pa.Table) -> pa.Table:
    """The diamonds of some prefixes.

    ``hops`` has the columns prefix_index, ttl, width (the interfaces at that hop) and
    addr (one of them), sorted by the first two. A diamond begins at a hop of one
    interface that is followed by a hop of more, its divergence point, and ends at the
    next hop of one, its convergence point (Augustin et al., IMC 2007); without one, or
    with a hop in between that nobody answered from, it is none. The columns of the
    outcome are prefix_index, divergence_ttl, divergence_addr, convergence_ttl,
    convergence_addr, max_length (in hops from end to end) and max_width.
    """
    index = hops.column("prefix_index").to_numpy().astype(np.int64)
    ttl = hops.column("ttl").to_numpy().astype(np.int64)
    width = hops.column("width").to_numpy().astype(np.int64)
    count = len(index)
    breaks = np.r_[True, (index[1:] != index[:-1]) | (ttl[1:] != ttl[:-1] + 1)]
    path = np.cumsum(breaks[:count])
    places = np.arange(count)
    # The nearest hop of one interface from here on; none is behind the last hop.
    single = np.where(width == 1, places, count)
    nearest = np.minimum.accumulate(single[::-1])[::-1]
    following = np.r_[nearest[1:], count][:count]
    parts = (width == 1) & (following > places + 1) & (following < count)
    starts = np.flatnonzero(parts)
    ends = following[starts]
    whole = path[starts] == path[ends]
    starts, ends = starts[whole], ends[whole]
    bounds = np.c_[starts, ends].ravel()
    widest = np.maximum.reduceat(width, bounds)[::2] if len(bounds) else width[:0]
    divergence, convergence = hops.take(starts), hops.take(ends)
    return pa.table(
        {
            "prefix_index": divergence.column("prefix_index"),
            "divergence_ttl": divergence.column("ttl"),
            "divergence_addr": divergence.column("addr"),
            "convergence_ttl": convergence.column("ttl"),
            "convergence_addr": convergence.column("addr"),
            "max_length": pa.array(ends - starts, pa.uint8()),
            "max_width": pa.array(widest, pa.uint32()),
        }
    )
