"""Crossings and what was sent, of a few numbers, for tests of rules by evidence."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.rounds.crossings import NO_INTERFACES, NO_LINKS, Crossings
from anabranch.rounds.sent import Sent

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[int, int, int, int, int]
"""A prefix, a near TTL, the near end, the far end (0 if it is silent), and flows."""


def make_sent(
    rows: Iterable[tuple[int, int, int, int]],
    prefixes: int = 4,
    bounds: tuple[int, int] = (1, 32),
) -> Sent:
    """Of rows: a prefix, its lowest and highest TTL sent to, and flows."""
    sent = [
        (prefix, ttl, flows)
        for prefix, low, high, flows in rows
        for ttl in range(low, high + 1)
    ]
    names = ("prefix_index", "ttl", "flows")
    columns = list(zip(*sent, strict=True)) or [(), (), ()]
    table = pa.table(
        [pa.array(each, pa.int64()) for each in columns], names=list(names)
    )
    targets = {
        "prefix_index": list(range(prefixes)),
        "min_ttl": [1] * prefixes,
        "max_ttl": [255] * prefixes,
    }
    return Sent.of(table, pa.table(targets), bounds)


def make_crossings(rows: Iterable[Row], sent: Sent, late: int = 0) -> Crossings:
    """Of rows; ``late`` of the flows of each vertex are late."""
    links, interfaces = [], []
    for place, group in groupby(sorted(rows), key=lambda row: row[:3]):
        ends = [row[3:] for row in group]
        interfaces.append((*place, sum(flows for _, flows in ends), late))
        links += [
            (*place, far, place[2] * 1000 + far, flows) for far, flows in ends if far
        ]
    return Crossings.of(_fill(interfaces, NO_INTERFACES), _fill(links, NO_LINKS), sent)


def _fill(rows: list[tuple[int, ...]], nothing: pa.Table) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(nothing.schema)
    arrays = [
        pa.array(column, kind)
        for column, kind in zip(columns, nothing.schema.types, strict=True)
    ]
    return pa.table(arrays, schema=nothing.schema)
