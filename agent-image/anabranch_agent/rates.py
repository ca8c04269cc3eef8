"""How Rounds share what an agent may send."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_Name = TypeVar("_Name", bound=str)


def share_rate(total: int, wanted: Mapping[_Name, int]) -> dict[_Name, int]:
    """Max-min fair shares of a total, in whole probes a second.

    Who wants little has it; the others have as much as each other. What does not divide
    goes to the first names, so that shares stay where they are.
    """
    shares: dict[_Name, int] = {}
    left = total
    modest_first = sorted(wanted, key=lambda name: (wanted[name], name))
    for place, name in enumerate(modest_first):
        # Rounded up for those who come first: no rate is lost, even below one each.
        fair = -(-left // (len(wanted) - place))
        shares[name] = min(wanted[name], fair)
        left -= shares[name]
    return shares
