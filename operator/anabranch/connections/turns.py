"""Whose trace begins next."""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STALE = 64
"""How many heads may be stale, besides as many as there are netblocks."""


class Turns:
    """The clients that wait for a trace, and how many traces each netblock has.

    The netblock with the fewest traces that go on has the next turn. Of one, and of
    several that have as many, the client that has waited longest comes first. A change
    takes logarithmic time.
    """

    def __init__(self, running: Iterable[tuple[str, str]] = ()) -> None:
        """Begin with the clients that are traced now, each with its netblock."""
        going = dict(running)
        self._running = Counter(going.values())
        self._clients = set(going)
        """Those that wait, and those that are traced now."""
        self._queues: dict[str, list[tuple[int, str]]] = {}
        """The clients of each netblock that may be traced now, as a heap."""
        self._resting: list[tuple[float, int, str, str]] = []
        """The others, as a heap by when they may be."""
        self._heads: list[tuple[int, int, str]] = []
        """A heap of netblocks; an entry is stale if its netblock has changed."""

    def join(self, client: str, block: str, number: int, since: float) -> None:
        """Let a client wait with its connection ``number``; it may be traced ``since``.

        Whoever waits or is traced already keeps its place.
        """
        if client not in self._clients:
            self._clients.add(client)
            heappush(self._resting, (since, number, client, block))

    def take(self, now: float) -> tuple[str, str] | None:
        """Return the client whose trace is to begin, and its netblock, if there is one.

        Its trace goes on until ``leave``.
        """
        while self._resting and self._resting[0][0] <= now:
            _, number, client, block = heappop(self._resting)
            heappush(self._queues.setdefault(block, []), (number, client))
            self._place(block)
        while self._heads:
            running, number, block = heappop(self._heads)
            if (running, number) != self._find_key(block):
                continue
            _, client = heappop(self._queues[block])
            self._running[block] += 1
            self._place(block)
            return client, block
        return None

    def leave(self, client: str, block: str) -> None:
        """Note that the trace of a client has ended, and that none of it waits."""
        self._clients.discard(client)
        self._running[block] -= 1
        if not self._running[block]:
            del self._running[block]
        self._place(block)

    def _find_key(self, block: str) -> tuple[int, int] | None:
        queue = self._queues.get(block)
        return (self._running[block], queue[0][0]) if queue else None

    def _place(self, block: str) -> None:
        """Put a netblock where it belongs now; its earlier entries are stale."""
        if key := self._find_key(block):
            heappush(self._heads, (*key, block))
        else:
            self._queues.pop(block, None)
        if len(self._heads) > 2 * len(self._queues) + _STALE:
            keys = ((self._find_key(block), block) for block in self._queues)
            self._heads = [(*key, block) for key, block in keys if key]
            heapify(self._heads)
