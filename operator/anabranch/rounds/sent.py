"""How many flows were sent to each prefix at each TTL, and demands for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anabranch.rounds.planning import ask_places

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Matrix = NDArray[np.int32]

FIRST_TTLS = 32
"""The number of TTLs that a pilot is probed at first."""
AHEAD_TTLS = 5
"""How many TTLs behind the last one that was sent a step may ask for."""


@dataclass(frozen=True)
class Sent:
    """The flows that were sent to some prefixes, from flow 0 on."""

    prefix: Numbers
    """The prefix_index of each prefix, sorted."""
    low: Numbers
    """The lowest TTL that may be probed, for each."""
    high: Numbers
    """The highest one."""
    flows: Matrix
    """The number of flows, by prefix and TTL."""

    @staticmethod
    def of(rows: pa.Table, prefixes: pa.Table, bounds: tuple[int, int]) -> Sent:
        """Return what was sent to ``prefixes``, a table as in ``planning``.

        ``rows`` has the columns prefix_index, ttl and flows. ``bounds`` are the lowest
        and the highest TTL that the agent may probe.
        """
        prefix, low, high = (
            prefixes.column(name).to_numpy().astype(np.int64)
            for name in ("prefix_index", "min_ttl", "max_ttl")
        )
        low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
        of, ttl, flows = (
            rows.column(name).to_numpy().astype(np.int64)
            for name in ("prefix_index", "ttl", "flows")
        )
        begins = int(low.max(initial=1))
        last = int(ttl.max(initial=begins + FIRST_TTLS - 1)) + AHEAD_TTLS
        matrix = np.zeros((len(prefix), last + 2), dtype=np.int32)
        sent = Sent(prefix, low, high, matrix)
        matrix[sent.find(of), ttl] = flows
        return sent

    def find(self, prefix: Numbers) -> Numbers:
        """Return the places of prefixes in these arrays."""
        if not len(self.prefix):
            return prefix
        first = self.prefix[0]
        places = np.zeros(self.prefix[-1] - first + 1, dtype=np.int64)
        places[self.prefix - first] = np.arange(len(self.prefix))
        found: Numbers = places[prefix - first]
        return found

    def both(self, prefix: Numbers, ttl: Numbers) -> Numbers:
        """Return how many flows were sent at a TTL and at the next one, for each."""
        at = self.find(prefix)
        both = np.minimum(self.flows[at, ttl], self.flows[at, ttl + 1])
        return both.astype(np.int64)

    @property
    def first(self) -> Numbers:
        """The lowest TTL that was sent to each prefix; 0 if none was."""
        first: Numbers = np.argmax(self.flows > 0, axis=1)
        return first

    @property
    def last(self) -> Numbers:
        """The highest TTL that was sent to each prefix; 0 if none was."""
        last = self.flows.shape[1] - 1 - np.argmax(self.flows[:, ::-1] > 0, axis=1)
        return np.where(self.flows.any(axis=1), last, 0)

    def ask(self, wanted: Matrix) -> pa.Table:
        """Demand the flows of ``wanted`` that were not sent, where TTLs allow it."""
        ttls = np.arange(wanted.shape[1])
        allowed = (ttls >= self.low[:, None]) & (ttls <= self.high[:, None])
        place, ttl = np.nonzero((wanted > self.flows) & allowed)
        sent = self.flows[place, ttl].astype(np.int64)
        return ask_places(self.prefix[place], ttl, sent, wanted[place, ttl] - sent)
