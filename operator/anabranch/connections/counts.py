"""What becomes of connections: the reasons, and how many there are of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

EXCLUDED, QUEUE_FULL, REFUSED = "excluded", "queue full", "refused"
WAITED_TOO_LONG, GIVEN_UP = "waited too long", "given up"
TIME_LIMIT = "time limit"
"""The engine's word for the end of a trace that took too long."""
REASONS = (EXCLUDED, QUEUE_FULL, WAITED_TOO_LONG, TIME_LIMIT, REFUSED, GIVEN_UP)
"""Why connections are dropped. Of those that are refused, records say more."""


@dataclass
class Counts:
    """What a queue has done since it was opened, and what it has to do."""

    waiting: int = 0
    running: int = 0
    traced: int = 0
    copied: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """How many were dropped, by one of `REASONS`."""
    missed: int = 0
    unreadable: int = 0
    hops_met: int = 0
    """How many hops no trace of the same day had met before."""
    hops_told: int = 0
    """How many hops somebody told about."""
    hops_stored: int = 0
    annotator_errors: int = 0
    """How often nobody told about hops that were asked about."""
    bytes: int = 0
    """The size of the queue, when it was looked at last."""

    @property
    def dropped(self) -> int:
        """How many connections were dropped."""
        return self.reasons.total()
