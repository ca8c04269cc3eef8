"""Read a run's objects in the store: rows of steps, and the metadata of parts."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.rounds.steps import Step
    from anabranch.store.keys import RunKeys, StepKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine

_LATER = {
    "replies": {
        "rewritten": "toUInt8(0)",
        "interface": "''",
        "gateway": "toFixedString('', 16)",
        "attempt": "toUInt8(1)",
    },
    "prefixes": {
        "repeats": "toUInt32(0)",
        "changed_after": "toUInt64(0)",
        "changed_before": "toUInt64(0)",
        "between_steps": "toUInt8(0)",
    },
    "links": {
        "first_end": "toUInt64(0)",
        "last_start": "toUInt64(0)",
        "is_unlikely": "toUInt8(0)",
    },
    "diamonds": {
        "width_asymmetry": "CAST(NULL AS Nullable(UInt32))",
        "meshed_ratio": "CAST(NULL AS Nullable(Float64))",
        "probability_difference": "CAST(NULL AS Nullable(Float64))",
        "becomes": "CAST(NULL AS Nullable(String))",
        "router_diamonds": "CAST(NULL AS Nullable(UInt32))",
        "router_max_length": "CAST(NULL AS Nullable(UInt8))",
        "router_max_width": "CAST(NULL AS Nullable(UInt32))",
    },
}
"""The columns that some parts lack, by kind, with their default as SQL.

Version 0.2 does not write most of them; ``attempt`` is of traces alone.
"""
_TAIL_BYTES = 1 << 16
"""How much is read to find a Parquet footer; a part's takes about 10 KiB."""
_READERS = 8
"""How many footers are read at once, since a bucket may take long to answer."""
_HEADS = 1000
"""How many of them are in memory."""


@dataclass(frozen=True)
class PartCounts:
    """Sums over the parts of a step."""

    probes: int
    """Probes sent."""
    replies: int
    """Valid replies received."""
    unroutable: int
    """Prefixes without a route."""
    forbidden: int
    """Probes that were not sent because their addresses are excluded."""
    unsent: int
    """Probes that the kernel refused to send."""
    dropped: int
    """Packets that the kernel dropped before they were read."""
    traced: int
    """Destinations that were traced."""
    further: int
    """Probes beyond the plan's last TTLs, which replies asked for."""


def find_blocks(store: Store, keys: StepKeys) -> list[int]:
    """Return the blocks with reply parts of a step."""
    # A block may have thousands of parts, so look at the first of each.
    return [
        int(name)
        for name in store.folders(keys.replies)
        if any(_is_part(key) for key in store.list(keys.parts(int(name))))
    ]


def read_steps(
    store: Store, keys: RunKeys, pattern: str, steps: list[Step]
) -> str | None:
    """Return the SQL for the rows of some steps' objects, or None if there are none."""
    folder, _, name = pattern.rpartition("/")
    there = [
        str(step)
        for step in steps
        if any(
            fnmatchcase(key.rpartition("/")[2], name)
            for key in store.list(f"{keys.step(step).root}/{folder}")
        )
    ]
    if not there:
        return None
    return store.read_sql(f"{keys.root}/{{{','.join(there)}}}/{pattern}")


def fill(engine: Engine, rows: str, kind: str) -> str:
    """Return the SQL for rows with all columns of a kind, whatever version wrote it."""
    there = engine.read(f"DESCRIBE TABLE {rows}").column("name").to_pylist()
    later = _LATER[kind]
    missing = [f"{later[name]} AS {name}" for name in later if name not in there]
    return f"(SELECT {', '.join(['*', *missing])} FROM {rows})" if missing else rows


def count_parts(store: Store, keys: StepKeys) -> PartCounts:
    """Return the sums over the parts of a step that are in the store.

    A prober's other counters start at zero with each prober. So if the count of sent
    probes falls from one part to the next, another prober has started. Probers of
    different hand-outs run at the same time, so each hand-out counts by itself.
    """
    probes = replies = traced = unroutable_traced = 0
    unroutable: defaultdict[int, int] = defaultdict(int)
    over = Counter[str]()
    last: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for head in _read_heads(store, filter(_is_part, store.list(keys.replies))):
        probes += head["probes"]
        replies += head["replies"]
        if is_traced := head.get("traced", 0):
            traced += is_traced
            unroutable_traced += head["unroutable"]
        else:
            block = head["block"]
            unroutable[block] = max(unroutable[block], head.get("unroutable", 0))
        counts, hand_out = Counter(head["counts"]), head.get("hand_out", 0)
        if counts["sent"] < last[hand_out]["sent"]:
            over += last[hand_out]
        last[hand_out] = counts
    over += sum(last.values(), Counter[str]())
    return PartCounts(
        probes,
        replies,
        unroutable=sum(unroutable.values()) + unroutable_traced,
        forbidden=over["forbidden"],
        unsent=over["unsent"],
        dropped=over["dropped"],
        traced=traced,
        further=over["further"],
    )


def find_ends(store: Store, keys: StepKeys) -> dict[int, int]:
    """Return the slot at which the parts of each block end, up to the first gap."""
    ends: dict[int, int] = {}
    parts = list(filter(_is_part, store.list(keys.replies)))
    for key, head in zip(parts, _read_heads(store, iter(parts)), strict=True):
        name = key.removeprefix(f"{keys.replies}/").removesuffix(".parquet")
        block, start = map(int, name.split("/"))
        if start == ends.get(block, 0):
            ends[block] = head["end"]
    return ends


def read_columns(store: Store, key: str) -> list[str]:
    """Return the names of a Parquet object's columns.

    Raises:
        pyarrow.ArrowInvalid: If it is not a Parquet file.
    """
    names: list[str] = read_footer(store, key).schema.to_arrow_schema().names
    return names


def read_footer(store: Store, key: str) -> pq.FileMetaData:
    """Return the metadata of a Parquet object, without reading its rows.

    Raises:
        pyarrow.ArrowInvalid: If it is not a Parquet file.
    """
    return pq.read_metadata(io.BytesIO(store.tail(key, _TAIL_BYTES)))


def read_head(store: Store, key: str) -> dict[str, Any]:
    """Return the metadata of a reply part, with its number of ``replies``.

    Raises:
        pyarrow.ArrowInvalid: If it is not a Parquet file.
        KeyError: If it is not a reply part.
    """
    return find_head(read_footer(store, key))


def _read_heads(store: Store, keys: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the metadata of reply parts, in order; several are read at once."""
    with ThreadPoolExecutor(_READERS) as readers:
        while some := list(islice(keys, _HEADS)):
            yield from readers.map(partial(read_head, store), some)


def _is_part(key: str) -> bool:
    """Return whether it is a part, not the kernel's lock or what a kill left."""
    return key.endswith(".parquet")


def find_head(footer: pq.FileMetaData) -> dict[str, Any]:
    """Return what ``read_head`` does, of a footer that is read.

    Raises:
        KeyError: If it is not a reply part.
    """
    head: dict[str, Any] = json.loads((footer.metadata or {})[b"anabranch.part"])
    rows = footer.num_rows
    return head | {"replies": rows if head.get("replies") is None else head["replies"]}


def find_bounds(footer: pq.FileMetaData, column: str) -> list[int]:
    """Return the lowest and highest values of a column that its row groups tell."""
    paths = [footer.schema.column(i).path for i in range(footer.num_columns)]
    place = paths.index(column)
    groups = (footer.row_group(i).column(place) for i in range(footer.num_row_groups))
    told = [each.statistics for each in groups if each.statistics]
    bounds = [bound for each in told for bound in (each.min, each.max)]
    return [bound for bound in bounds if bound is not None]
