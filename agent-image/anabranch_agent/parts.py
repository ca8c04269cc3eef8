"""Reply parts: which to upload next, and the sums of the stored ones."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from anabranch_engine import Part, Statistics

TAIL_BYTES = 1 << 16
"""How many bytes of a part's end to read: they say what it is."""
INVALID = ("forged", "unplanned", "late", "excess")
"""The reasons for which a reply is invalid.

Foreign ICMP is not among them: it belongs to other programs of the node.
"""


@dataclass(frozen=True)
class Totals:
    """The counts of a Round."""

    sent: int = 0
    replies: int = 0
    invalid: int = 0
    unsent: int = 0
    dropped: int = 0
    traced: int = 0

    def __add__(self, other: Totals) -> Totals:
        """Add the numbers one by one."""
        names = [field.name for field in fields(self)]
        return Totals(*(getattr(self, name) + getattr(other, name) for name in names))


NOTHING = Totals()


def count(statistics: Statistics) -> Totals:
    """Return the counts of a prober's statistics."""
    return Totals(
        sent=statistics.sent,
        replies=statistics.replies,
        invalid=sum(getattr(statistics, reason) for reason in INVALID),
        unsent=statistics.unsent,
        dropped=statistics.dropped,
        traced=statistics.traced,
    )


@dataclass(frozen=True)
class Stored:
    """A summary of a step's parts in the store."""

    ends: Mapping[int, int]
    """The slot after the last stored slot, by block."""
    parts: int
    totals: Totals


def sum_parts(parts: Iterable[Part], hand_out: int | None = None) -> Stored:
    """Sum parts, which are given in the order of their keys.

    With the number of a hand-out, only its own parts count. Others may have begun with
    its blocks before.

    Probes, replies and destinations are the sums over the parts. The other counts start
    anew with each prober: where the count of sent probes falls, another prober began.

    Raises:
        ValueError: When a part is missing between others.
    """
    ends: dict[int, int] = {}
    number = probes = replies = traced = 0
    over, last = NOTHING, NOTHING
    for part in parts:
        if part.start != ends.get(part.block, 0):
            begin = ends.get(part.block, 0)
            message = (
                f"of block {part.block} the part that begins with {begin} is missing, "
                f"and one that begins with {part.start} is there"
            )
            raise ValueError(message)
        ends[part.block] = part.end
        if hand_out is not None and part.hand_out != hand_out:
            continue
        number += 1
        probes += part.probes
        replies += part.replies
        traced += part.traced
        counted = count(part.counts)
        if counted.sent < last.sent:
            over += last
        last = counted
    beside = over + last
    totals = replace(beside, sent=probes, replies=replies, traced=traced)
    return Stored(ends, number, totals)


@dataclass(frozen=True)
class Waiting:
    """A part in the folder that waits for its upload."""

    file: Path
    block: int
    start: int

    @staticmethod
    def of(file: Path) -> Waiting:
        """Read the block and the start from a file's name: ``BLOCK/START.parquet``."""
        return Waiting(file, int(file.parent.name), int(file.stem))


def find_waiting(folder: Path) -> list[Waiting]:
    """Return the complete parts, in the order of their upload."""
    found = (Waiting.of(file) for file in folder.glob("*/*.parquet"))
    return sorted(found, key=lambda part: (part.block, part.start))


def is_next(waiting: Waiting, ends: Mapping[int, int]) -> bool:
    """Return whether a part begins where the stored ones end; others are useless."""
    return waiting.start == ends.get(waiting.block, 0)
