"""The dead man's switch: an agent that can't renew its Lease sends nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class DeadMan:
    """The switch, which knows when the Lease was last renewed.

    Times are seconds of one monotonic clock.
    """

    limit: float
    """How long after a renewal probes may be sent."""
    _renewed: float | None = None

    def renew(self, sent_at: float) -> None:
        """Note that the Lease was renewed by a request sent at ``sent_at``."""
        self._renewed = sent_at

    def release(self) -> None:
        """Note that the Lease is no longer held, or is held by someone else."""
        self._renewed = None

    def is_held(self, now: float) -> bool:
        """Return whether probes may be sent."""
        return self._renewed is not None and now - self._renewed <= self.limit

    def age(self, now: float) -> float | None:
        """Return the age of the last renewal; None if the Lease is not held."""
        return None if self._renewed is None else now - self._renewed
