"""How several workers share the work of a step without a word to one another.

Each worker goes over all units, from a place of its own, and does what is not done yet.
What a unit gives is stored once, so two workers on one unit lose time alone. Nobody
waits for anybody, and a worker that is lost is not missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Unit = TypeVar("Unit")

_WORKER_REPLIES = 1 << 23
"""The replies that are worth the start of one more worker."""


@dataclass(frozen=True)
class Worker:
    """One of some workers on the same step, by its number from 0 on."""

    index: int
    of: int

    @property
    def concludes(self) -> bool:
        """Whether this worker goes on once all units are done."""
        return self.index == 0

    def take(
        self, units: Sequence[Unit], is_done: Callable[[Unit], bool]
    ) -> Iterator[Unit]:
        """Yield the units that are not done when their turn comes."""
        start = len(units) * self.index // self.of
        for unit in (*units[start:], *units[:start]):
            if not is_done(unit):
                yield unit


ALONE = Worker(0, 1)
"""A worker that does everything."""


def count_workers(replies: int, most: int) -> int:
    """Return how many workers, at most ``most``, a run with these replies is worth."""
    return max(min(-(-replies // _WORKER_REPLIES), most), 1)
