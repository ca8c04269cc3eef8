"""Compute the probes that a step demands for each prefix.

Functions take and return tables of one block. *Prefixes* have the columns prefix_index,
min_ttl, max_ttl and flow_count, as the target list gives them. *Demands* have the
columns prefix_index, min_ttl, max_ttl, first_flow and flow_count, as ``Plan.ask`` takes
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from anabranch.rounds.steps import WINDOW_STARS
from anabranch.rounds.stopping import count_flows, share_failure

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from anabranch.rounds.steps import Step

    Numbers = NDArray[np.int64]

_DEMAND = pa.schema(
    [
        ("prefix_index", pa.uint32()),
        ("min_ttl", pa.uint8()),
        ("max_ttl", pa.uint8()),
        ("first_flow", pa.uint32()),
        ("flow_count", pa.uint32()),
    ]
)


# `empty_table` would import pandas, which takes a second.
NOTHING = pa.Table.from_batches([], schema=_DEMAND)
"""An empty table of demands."""


def ask_ttls(prefixes: pa.Table, min_ttl: int, max_ttl: int) -> pa.Table:
    """Demand the first flows at the targets' TTLs, as far as these bounds allow."""
    low = np.maximum(_numbers(prefixes, "min_ttl"), min_ttl)
    high = np.minimum(_numbers(prefixes, "max_ttl"), max_ttl)
    inside = low <= high
    flows = _numbers(prefixes, "flow_count")
    index = _numbers(prefixes, "prefix_index")
    return _demands(
        *(column[inside] for column in (index, low, high, np.zeros_like(low), flows))
    )


def ask_last_ttl(
    prefixes: pa.Table, max_ttl: int, flows: int | None = None
) -> pa.Table:
    """Demand flows at the targets' highest TTL up to ``max_ttl``: ping.

    ``flows`` is how many; by default the first ones of each target.
    """
    high = np.minimum(_numbers(prefixes, "max_ttl"), max_ttl)
    first = _numbers(prefixes, "flow_count")
    counts = first if flows is None else np.full_like(first, flows)
    index = _numbers(prefixes, "prefix_index")
    return _demands(index, high, high, np.zeros_like(high), counts)


def ask_one_flow(prefixes: pa.Table, min_ttl: int, max_ttl: int) -> pa.Table:
    """Demand one flow of each target at its TTLs, as far as these bounds allow."""
    one = pa.array(np.ones(len(prefixes), dtype=np.uint32))
    place = prefixes.column_names.index("flow_count")
    return ask_ttls(prefixes.set_column(place, "flow_count", one), min_ttl, max_ttl)


def ask_flow_space(prefixes: pa.Table, flows: int) -> pa.Table:
    """Demand this number of flows of each prefix, at one TTL."""
    index = _numbers(prefixes, "prefix_index")
    ones = np.ones_like(index)
    return _demands(index, ones, ones, ones - 1, ones * flows)


def ask_window(
    prefixes: pa.Table, continuing: pa.Table, step: Step, bounds: tuple[int, int]
) -> pa.Table:
    """Demand the first flows in a window, for paths that start near it or reach it.

    ``continuing`` has the prefix_index of the prefixes with replies from the last TTLs
    of the window before.
    """
    begins = np.maximum(_numbers(prefixes, "min_ttl"), bounds[0])
    # Where it is the end of the window before, all that it has there may be silent.
    is_new = begins >= step.first_window_ttl - WINDOW_STARS
    goes_on = np.isin(
        _numbers(prefixes, "prefix_index"), _numbers(continuing, "prefix_index")
    )
    low = max(step.first_window_ttl, bounds[0])
    high = min(step.last_window_ttl, bounds[1])
    return ask_ttls(prefixes.filter(pa.array(is_new | goes_on)), low, high)


def ask_flows(counts: pa.Table, failure_probability: float) -> pa.Table:
    """Demand the flows of a round of Diamond-Miner that earlier rounds did not send.

    ``counts`` has a row for each prefix and near TTL with links, sorted by both. Its
    columns are prefix_index, ttl, flow_count (the flows of the first round), links (the
    links known now), and earlier_links (those known when the previous round was
    planned). Each hop gets the larger number of flows of its own stopping point and of
    that of the hop before, since a link has two ends.
    """
    if not counts.num_rows:
        return NOTHING
    index, ttl = _numbers(counts, "prefix_index"), _numbers(counts, "ttl")
    starts = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
    ends = np.r_[starts[1:], len(index)]
    # Each prefix's hops, without gaps: from its first near TTL to its last far TTL.
    first = ttl[starts]
    lengths = ttl[ends - 1] - first + 2
    offsets = np.cumsum(lengths) - lengths
    prefix = np.repeat(np.arange(len(starts)), lengths)
    hops = np.arange(lengths.sum()) - offsets[prefix] + first[prefix]
    places = np.repeat(offsets - first, ends - starts) + ttl

    def total(known: str) -> Numbers:
        links = np.zeros(len(hops), dtype=np.int64)
        links[places] = _numbers(counts, known)
        most = np.maximum.reduceat(links, offsets)
        flows = count_flows(links, share_failure(failure_probability, most)[prefix])
        before = np.r_[0, flows[:-1]]
        before[offsets] = 0
        return np.maximum(flows, before)

    initial = _numbers(counts, "flow_count")[starts][prefix]
    sent = np.maximum(total("earlier_links"), initial)
    more = total("links") - sent
    asked = more > 0
    return ask_places(
        index[starts][prefix][asked], hops[asked], sent[asked], more[asked]
    )


def ask_places(
    index: Numbers, ttl: Numbers, first: Numbers, count: Numbers
) -> pa.Table:
    """Demand ``count`` flows from ``first`` on at each of these prefixes and TTLs.

    Prefixes and TTLs are sorted. Rows of neighbouring TTLs that demand the same flows
    become one.
    """
    if not len(index):
        return NOTHING
    same = (
        (index[1:] == index[:-1])
        & (ttl[1:] == ttl[:-1] + 1)
        & (first[1:] == first[:-1])
        & (count[1:] == count[:-1])
    )
    starts = np.flatnonzero(np.r_[True, ~same])
    ends = np.r_[starts[1:], len(index)] - 1
    return _demands(index[starts], ttl[starts], ttl[ends], first[starts], count[starts])


def _numbers(table: pa.Table, name: str) -> Numbers:
    numbers: Numbers = table.column(name).to_numpy().astype(np.int64)
    return numbers


def _demands(*columns: Any) -> pa.Table:
    arrays = [
        pa.array(column, kind)
        for column, kind in zip(columns, _DEMAND.types, strict=True)
    ]
    return pa.table(arrays, schema=_DEMAND)
