"""How long to wait after a failure."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Waits that double from failure to failure, drawn so that agents don't march."""

    first: float
    most: float
    _failures: int = 0

    def fail(self) -> float:
        """How long to wait after one more failure."""
        longest = min(self.first * float(2**self._failures), self.most)
        self._failures += longest < self.most
        return longest * random.uniform(0.5, 1)  # noqa: S311 (no secret)

    def succeed(self) -> None:
        """Begins anew."""
        self._failures = 0
