"""The sweep of the rule shared: one flow to each prefix, where it may show something.

One prefix in 16, a *pilot*, is probed at all TTLs. Prefixes are sorted, so the pilot
before a prefix is close by in the address space, and likely at the same distance. Near
the vantage point, pilots show all that there is. So others are probed from where flows
still meet new links, up to a few TTLs behind the end of their pilot's path. Where that
was too narrow, the sweep goes on: forward as long as there are replies, and backward to
an interface to which a link is known, as in Doubletree (Donnet et al., SIGMETRICS
2005). FlashRoute (Huang et al., IMC 2020) predicts distances from neighbours too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from anabranch.rounds.hashes import are_among
from anabranch.rounds.planning import ask_one_flow
from anabranch.rounds.sent import AHEAD_TTLS, FIRST_TTLS
from anabranch.rounds.steps import WINDOW_STARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from anabranch.rounds.crossings import Crossings
    from anabranch.rounds.sent import Matrix, Sent

    Numbers = NDArray[np.int64]

SWEEP = 2
"""The round in which others than pilots are probed."""
PILOTS_ONE_IN = 16
BACK_TTLS = 2
"""How many TTLs a sweep goes back at once."""
LEAST_NEW = 0.002
"""The least share of flows that meet a new link at the first TTL of the sweep."""


def ask_pilots(prefixes: pa.Table, bounds: tuple[int, int]) -> pa.Table:
    """Demand one flow of each pilot at its TTLs; ``prefixes`` as in ``planning``."""
    index = prefixes.column("prefix_index").to_numpy()
    pilots = prefixes.filter(index % PILOTS_ONE_IN == 0)
    low = np.maximum(pilots.column("min_ttl").to_numpy().astype(np.int64), bounds[0])
    high = np.minimum(pilots.column("max_ttl").to_numpy(), low + FIRST_TTLS - 1)
    place = pilots.column_names.index("max_ttl")
    near = pilots.set_column(place, "max_ttl", pa.array(high))
    return ask_one_flow(near, *bounds)


def find_first_ttl(parts: Sequence[Crossings]) -> int:
    """Return the lowest near TTL at which flows still meet new links.

    Of n flows that crossed links, a further one crosses a new link with a probability
    of about f / n, if f links were crossed once (Good, Biometrika 1953).
    """
    ttl, flows = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("ttl", "flows")
    )
    link = np.concatenate([part.link for part in parts])
    order = np.lexsort((link, ttl))
    ttl, link, flows = ttl[order], link[order], flows[order]
    is_new = (link[1:] != link[:-1]) | (ttl[1:] != ttl[:-1])
    starts = np.flatnonzero(np.r_[True, is_new][: len(link)])
    crossed = np.add.reduceat(flows, starts) if len(starts) else flows
    every = np.bincount(ttl[starts], weights=crossed)
    once = np.bincount(ttl[starts], weights=crossed == 1)
    known = np.flatnonzero(once > LEAST_NEW * every)
    return int(known[0]) if len(known) else max(len(every) - 1, 1)


def find_last_ttls(crossings: Crossings) -> tuple[Numbers, Numbers]:
    """Return the prefix_index of each prefix with replies, and its last TTL with one.

    The last interface of a path has a row too: it led to silence.
    """
    ends = np.r_[crossings.prefix[1:] != crossings.prefix[:-1], True]
    last = np.flatnonzero(ends[: len(crossings.prefix)])
    return crossings.prefix[last], crossings.ttl[last]


def sweep(sent: Sent, pilots: tuple[Numbers, Numbers], first_ttl: int) -> Matrix:
    """Want one flow of each prefix but pilots, around what its pilot showed.

    ``pilots`` are their prefix_index and last TTLs, as from ``find_last_ttls``.
    """
    of = sent.prefix - sent.prefix % PILOTS_ONE_IN
    index, last = pilots
    place = np.minimum(np.searchsorted(index, of), max(len(index) - 1, 0))
    begins = np.maximum(first_ttl, sent.low)
    guess = begins
    if len(index):
        guess = np.where(index[place] == of, np.maximum(last[place], guess), guess)
    is_pilot = sent.prefix == of
    return _want_once(
        sent,
        np.where(is_pilot, 1, begins),
        np.where(is_pilot, 0, guess + WINDOW_STARS),
    )


def sweep_on(sent: Sent, crossings: Crossings, ends: NDArray[np.uint64]) -> Matrix:
    """Want one flow more of paths that may go on, forward or backward.

    ``ends`` are the interfaces to which links are known. If none leads to the
    first interface of a path, the path goes on backward.
    """
    index, heard = find_last_ttls(crossings)
    at, last = sent.find(index), sent.last
    top = np.zeros(len(sent.prefix), dtype=np.int64)
    goes_on = heard > last[at] - WINDOW_STARS
    top[at[goes_on]] = last[at[goes_on]] + AHEAD_TTLS
    begins = np.r_[True, crossings.prefix[1:] != crossings.prefix[:-1]]
    first = begins[: len(crossings.prefix)]
    near = np.where(crossings.near == 0, crossings.far, crossings.near)[first]
    bottom = np.zeros(len(sent.prefix), dtype=np.int64)
    is_orphan = ~are_among(ends, near)
    bottom[at[is_orphan]] = sent.first[at[is_orphan]] - 1
    forward = _want_once(sent, last + 1, top)
    return np.maximum(forward, _want_once(sent, bottom - BACK_TTLS + 1, bottom))


def _want_once(sent: Sent, low: Numbers, high: Numbers) -> Matrix:
    """Want one flow of each prefix from its lower to its higher TTL."""
    ttls = np.arange(sent.flows.shape[1])
    inside = (ttls >= np.maximum(low, 1)[:, None]) & (ttls <= high[:, None])
    return inside.astype(np.int32)
