"""The waits after failures."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Waits that double with each failure, drawn so that agents act out of step."""

    first: float
    most: float
    _failures: int = 0

    def fail(self) -> float:
        """Note a failure; return how many seconds to wait."""
        longest = min(self.first * float(2**self._failures), self.most)
        self._failures += longest < self.most
        return longest * random.uniform(0.5, 1)  # noqa: S311 (no secret)

    def succeed(self) -> None:
        """Note a success: the next wait is the first one again."""
        self._failures = 0
