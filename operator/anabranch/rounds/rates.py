"""Shares a rate among probers; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_Name = TypeVar("_Name", str, int)
_ENDING = 4
"""A prober that is ending wants one in so many of its probes a second."""


def share_rate(
    total: int, wanted: Mapping[_Name, int], ending: Collection[_Name] = ()
) -> dict[_Name, int]:
    """Return max-min fair shares of a total, in whole probes a second.

    A prober that wants less than a fair share gets what it wants; the others share the
    rest equally. A remainder goes to the first names, so that shares stay the same.

    ``ending`` are those that only go on with what they have begun. They send less and
    less, so as long as others begin, they leave most of their share to these.
    """
    if len(ending) < len(wanted):
        wanted = {
            name: max(rate // _ENDING, 1) if name in ending else rate
            for name, rate in wanted.items()
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
