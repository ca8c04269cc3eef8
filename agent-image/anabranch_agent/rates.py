"""Shares an agent's rate among Rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_Name = TypeVar("_Name", bound=str)


def share_rate(total: int, wanted: Mapping[_Name, int]) -> dict[_Name, int]:
    """Return max-min fair shares of a total, in whole probes a second.

    A Round that wants less than a fair share gets what it wants; the others share the
    rest equally. A remainder goes to the first names, so that shares stay the same.
    """
    shares: dict[_Name, int] = {}
    left = total
    modest_first = sorted(wanted, key=lambda name: (wanted[name], name))
    for place, name in enumerate(modest_first):
        # Round up for the first names: no rate is lost, even below one probe each.
        fair = -(-left // (len(wanted) - place))
        shares[name] = min(wanted[name], fair)
        left -= shares[name]
    return shares
