"""Crossings and what was sent, of a few numbers, for tests of rules by evidence."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.rounds.evidence import NO_CROSSINGS, Crossings
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
    made = []
    for place, group in groupby(sorted(rows), key=lambda row: row[:3]):
        links = [row[3:] for row in group]
        heard = sum(flows for _, flows in links)
        made += [
            (*place, far, place[2] * 1000 + far, flows, heard, late)
            for far, flows in links
        ]
    columns = list(zip(*made, strict=True)) or [()] * len(NO_CROSSINGS.schema)
    arrays = [
        pa.array(column, kind)
        for column, kind in zip(columns, NO_CROSSINGS.schema.types, strict=True)
    ]
    return Crossings.of(pa.table(arrays, schema=NO_CROSSINGS.schema), sent)
