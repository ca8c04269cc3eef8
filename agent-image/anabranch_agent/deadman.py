"""The dead man's switch: who can't renew its Lease sends nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class DeadMan:
    """Knows when the Lease was last known to be held.

    Times are those of one monotonic clock.
    """

    limit: float
    """How long after a renewal probes may be sent."""
    _renewed: float | None = None

    def renew(self, sent_at: float) -> None:
        """The Lease was renewed, by a request that was sent then."""
        self._renewed = sent_at

    def release(self) -> None:
        """The Lease is held no longer, or by someone else."""
        self._renewed = None

    def is_held(self, now: float) -> bool:
        """Whether probes may be sent."""
        return self._renewed is not None and now - self._renewed <= self.limit

    def age(self, now: float) -> float | None:
        """How old the last renewal is; None if the Lease is not held."""
        return None if self._renewed is None else now - self._renewed
