"""Count in process, without SQL, what decides how a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from anabranch.rounds.crossings import LATE
from anabranch.rounds.evidence import Scope
from anabranch.rounds.mixing import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Columns = dict[str, Hashes]

_MIX = [np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)]


def find_links(heard: list[Columns]) -> tuple[Columns, Columns]:
    """Return the near and the far replies of each link of each flow."""
    every = _join(heard)
    hop = every["prefix_index"] << np.uint64(39) | every["flow"] << np.uint64(8)
    hop |= every["ttl"]
    order = np.argsort(hop)
    hop, address = hop[order], every["address"][order]
    is_link = (hop[1:] == hop[:-1] + np.uint64(1)) & (address[1:] != address[:-1])
    near, far = order[:-1][is_link], order[1:][is_link]
    ends = [
        {name: column[end] for name, column in every.items()} for end in (near, far)
    ]
    return ends[0], ends[1]


def count_links(heard: list[Columns], prefixes: pa.Table, round_: int) -> pa.Table:
    """Count what ``count_links`` of ``queries`` counts in SQL."""
    near, far = find_links(heard)
    same = near["round"] == far["round"]
    near, far = ({name: end[name][same] for name in end} for end in (near, far))
    hop = near["prefix_index"] << np.uint64(8) | near["ttl"]
    # A 64-bit hash of hop, near address and far address identifies a link.
    link = (hop * _MIX[0] ^ near["address"]) * _MIX[1] ^ far["address"] * _MIX[0]
    _, first = np.unique(link, return_index=True)
    earlier = np.unique(link[near["round"] < round_], return_index=True)[1]
    hops, links = np.unique(hop[first], return_counts=True)
    before = hop[near["round"] < round_][earlier]
    known, counts = np.unique(before, return_counts=True)
    earlier_links = np.zeros(len(hops), dtype=np.uint64)
    earlier_links[np.searchsorted(hops, known)] = counts
    index = hops >> np.uint64(8)
    asked = read_numbers(prefixes, "prefix_index")
    flows = read_numbers(prefixes, "flow_count")[np.searchsorted(asked, index)]
    return pa.table(
        {
            "prefix_index": index,
            "ttl": hops & np.uint64(255),
            "flow_count": flows,
            "links": links,
            "earlier_links": earlier_links,
        }
    )


def count_sent(every: list[pa.Table]) -> pa.Table:
    """Count the flows that demands sent to each prefix at each TTL."""
    asked = pa.concat_tables(every)
    columns = {
        name: read_numbers(asked, name).astype(np.int64) for name in asked.column_names
    }
    lengths = columns["max_ttl"] - columns["min_ttl"] + 1
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = pa.table(
        {
            "prefix_index": np.repeat(columns["prefix_index"], lengths),
            "ttl": np.repeat(columns["min_ttl"], lengths) + within,
            "flows": np.repeat(columns["first_flow"] + columns["flow_count"], lengths),
        }
    )
    most = rows.group_by(["prefix_index", "ttl"]).aggregate([("flows", "max")])
    return most.rename_columns(["prefix_index", "ttl", "flows"])


def count_interfaces(heard: list[Columns], scope: Scope) -> pa.Table:
    """Count what ``count_interfaces`` of ``queries`` counts in SQL."""
    every = _join(heard)
    is_late = (every["flow"] >= LATE).astype(np.uint32)
    rows = pa.table({**_place(every), "near": _hash(every, scope), "late": is_late})
    at = ["prefix_index", "ttl", "near"]
    counts = rows.group_by(at).aggregate([("late", "count"), ("late", "sum")])
    counts = counts.rename_columns([*at, "heard", "late"])
    return counts.sort_by([(name, "ascending") for name in at])


def count_crossings(heard: list[Columns], scope: Scope) -> pa.Table:
    """Count what ``count_crossings`` of ``queries`` counts in SQL."""
    near, far = find_links(heard)
    ends = {"near": _hash(near, scope), "far": _hash(far, scope)}
    link = mix(ends["near"] * _MIX[0] ^ ends["far"])
    rows = pa.table({**_place(near), **ends, "link": link})
    counts = rows.group_by(rows.column_names).aggregate([([], "count_all")])
    counts = counts.rename_columns([*rows.column_names, "flows"])
    return counts.sort_by([(name, "ascending") for name in rows.column_names])


def _place(replies: Columns) -> Columns:
    return {name: replies[name] for name in ("prefix_index", "ttl")}


def _hash(replies: Columns, scope: Scope) -> Hashes:
    """Return a hash of where each reply comes from, in what shares evidence."""
    if scope is Scope.SURVEY:
        return mix(replies["address"])
    return mix(replies["address"] ^ mix(replies["prefix_index"]))


def _join(heard: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in heard]) for name in heard[0]}


def read_numbers(table: pa.Table, name: str) -> NDArray[np.uint64]:
    """Return a column of whole numbers."""
    numbers: NDArray[np.uint64] = table.column(name).to_numpy().astype(np.uint64)
    return numbers
