"""Find diamonds: where the paths to a prefix diverge and converge again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def find_diamonds(hops: pa.Table) -> pa.Table:
    """Return the diamonds on the paths to some prefixes.

    ``hops`` has the columns prefix_index, ttl, width (the number of interfaces at the
    hop) and addr (one of them). It is sorted by prefix_index and ttl.

    A diamond starts at its divergence point: a hop with one interface before a hop with
    more. It ends at its convergence point: the next hop with one interface (Augustin
    et al., IMC 2007). Paths that do not converge form no diamond, nor do those with a
    hop in between that did not reply.

    The result has the columns prefix_index, divergence_ttl, divergence_addr,
    convergence_ttl, convergence_addr, max_length (in hops from end to end) and
    max_width (in interfaces).
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
