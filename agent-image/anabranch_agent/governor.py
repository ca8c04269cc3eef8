"""The one place that sets the rates of probers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anabranch_agent.deadman import DeadMan


class Throttled(Protocol):
    """Something that has a rate, such as a prober."""

    def set_rate(self, rate: int) -> None:
        """Change the rate, in probes a second; 0 pauses."""

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Change the highest rate to one prefix, in probes a second."""


@dataclass
class Governor:
    """The governor, which gives each prober its rate, or 0 while the Lease is not held.

    Its own thread checks the dead man's switch, so that it acts even when everything
    else waits for something.
    """

    deadman: DeadMan
    clock: Callable[[], float]
    _probers: dict[str, Throttled] = field(default_factory=dict)
    _granted: dict[str, int] = field(default_factory=dict)
    _rates: dict[str, int] = field(default_factory=dict)
    _per_prefix: float = 1.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)

    def attach(self, name: str, prober: Throttled) -> None:
        """Add a prober that starts, with a rate of 0."""
        with self._lock:
            prober.set_max_rate_per_prefix(self._per_prefix)
            self._probers[name] = prober
            self._rates[name] = 0

    def detach(self, name: str) -> None:
        """Remove a prober that has ended."""
        with self._lock:
            self._probers.pop(name, None)
            self._rates.pop(name, None)

    def grant(self, rates: Mapping[str, int], per_prefix: float) -> None:
        """Set the rate of each prober from now on, in probes a second; others get 0.

        ``per_prefix`` is what each may send to one prefix, in probes a second.
        """
        with self._lock:
            self._granted = dict(rates)
            if per_prefix != self._per_prefix:
                self._per_prefix = per_prefix
                for prober in self._probers.values():
                    prober.set_max_rate_per_prefix(per_prefix)
        self.enforce()

    def stop(self) -> None:
        """Set the rates of all probers to 0."""
        self.grant({}, self._per_prefix)

    def enforce(self) -> None:
        """Apply the rates, falling ones first, so that their sum never overshoots."""
        with self._lock:
            held = self.deadman.is_held(self.clock())
            rates = {
                name: self._granted.get(name, 0) if held else 0
                for name in self._probers
            }
            changed = {n: rate for n, rate in rates.items() if rate != self._rates[n]}
            for name in sorted(changed, key=lambda n: changed[n] - self._rates[n]):
                self._probers[name].set_rate(changed[name])
            self._rates = rates

    @property
    def rate(self) -> int:
        """The probes a second that all probers together may send now."""
        with self._lock:
            return sum(self._rates.values())

    @property
    def granted(self) -> int:
        """The probes a second that they may send while the Lease is held."""
        with self._lock:
            return sum(self._granted.values())

    def watch(self, every: float) -> None:
        """Enforce the rates every ``every`` seconds, until the governor is closed."""
        while not self._closed.wait(every):
            self.enforce()

    def close(self) -> None:
        """End the watch, and send nothing from now on."""
        self._closed.set()
        self.stop()
