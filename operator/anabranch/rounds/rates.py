"""Shares a rate among probers; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_Name = TypeVar("_Name", str, int)
_MORE = 8
"""A prober that is ending wants one more in so many than it has sent lately."""


@dataclass
class Pace:
    """How many probes a second somebody has sent lately."""

    rate: int = 0
    _sent: int = 0
    _at: float | None = None

    def note(self, sent: int, at: float) -> None:
        """Note how many probes were sent so far, at a time in seconds."""
        if self._at is not None and at > self._at:
            self.rate = round((sent - self._sent) / (at - self._at))
        self._sent, self._at = sent, at


def share_rate(
    total: int,
    wanted: Mapping[_Name, int],
    ending: Mapping[_Name, int] | None = None,
) -> dict[_Name, int]:
    """Return max-min fair shares of a total, in whole probes a second.

    A prober that wants less than a fair share gets what it wants; the others share the
    rest equally. A remainder goes to the first names, so that shares stay the same.

    ``ending`` has those that only go on with what they have begun, with what each has
    sent lately. They send less and less, so as long as others begin, they leave to
    these what they do not need.
    """
    if ending and len(ending) < len(wanted):
        needed = {name: pace + pace // _MORE + 1 for name, pace in ending.items()}
        wanted = {
            name: min(rate, needed.get(name, rate)) for name, rate in wanted.items()
        }
    shares: dict[_Name, int] = {}
    left = total
    modest_first = sorted(wanted, key=lambda name: (wanted[name], name))
    for place, name in enumerate(modest_first):
        # Round up for the first names: no rate is lost, even below one probe each.
        fair = -(-left // (len(wanted) - place))
        shares[name] = min(wanted[name], fair)
        left -= shares[name]
    return shares
