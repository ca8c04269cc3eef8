"""Reply parts: which go up next, and what those that are stored add up to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from anabranch_engine import Part, Statistics

TAIL_BYTES = 1 << 16
"""So much of a part's end says what it is."""
INVALID = ("forged", "unplanned", "late", "excess")
"""Replies to nothing that was asked, by the reason.

Foreign ICMP is not among them: it belongs to other programs of the node.
"""


@dataclass(frozen=True)
class Totals:
    """What is counted of a Round."""

    sent: int = 0
    replies: int = 0
    invalid: int = 0
    unsent: int = 0
    dropped: int = 0

    def __add__(self, other: Totals) -> Totals:
        """The sums, number by number."""
        names = [field.name for field in fields(self)]
        return Totals(*(getattr(self, name) + getattr(other, name) for name in names))


NOTHING = Totals()


def count(statistics: Statistics) -> Totals:
    """What a prober counted."""
    return Totals(
        sent=statistics.sent,
        replies=statistics.replies,
        invalid=sum(getattr(statistics, reason) for reason in INVALID),
        unsent=statistics.unsent,
        dropped=statistics.dropped,
    )


@dataclass(frozen=True)
class Stored:
    """What the parts of a step in the store say."""

    ends: Mapping[int, int]
    """The slot behind the last one of each block."""
    parts: int
    totals: Totals


def sum_parts(parts: Iterable[Part]) -> Stored:
    """The sum of parts, which are given in the order of their keys.

    Probes and replies are those of the parts. What is counted beside them starts anew
    with each prober: where a count falls, another one began.

    Raises:
        ValueError: When one is missing between others.
    """
    ends: dict[int, int] = {}
    number = probes = replies = 0
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
        number += 1
        probes += part.probes
        replies += part.replies
        counted = count(part.counts)
        if counted.sent < last.sent:
            over += last
        last = counted
    beside = over + last
    totals = Totals(probes, replies, beside.invalid, beside.unsent, beside.dropped)
    return Stored(ends, number, totals)


@dataclass(frozen=True)
class Waiting:
    """A part in the folder."""

    file: Path
    block: int
    start: int

    @staticmethod
    def of(file: Path) -> Waiting:
        """What a file's name says: ``BLOCK/START.parquet``."""
        return Waiting(file, int(file.parent.name), int(file.stem))


def find_waiting(folder: Path) -> list[Waiting]:
    """The parts that are whole, in the order in which they go up."""
    found = (Waiting.of(file) for file in folder.glob("*/*.parquet"))
    return sorted(found, key=lambda part: (part.block, part.start))


def is_next(waiting: Waiting, ends: Mapping[int, int]) -> bool:
    """Whether a part begins where those in the store end; any other is useless."""
    return waiting.start == ends.get(waiting.block, 0)
