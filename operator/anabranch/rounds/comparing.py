"""Which addresses are compared with each other to find aliases across traces.

As in MIDAR (Keys et al., "Internet-scale IPv4 alias resolution with MIDAR", 2013),
there are three rounds. In the first one each address is asked alone. Two counters of
one router are one counter, so in the second round only addresses whose counters are
about as fast are compared. In the third one those that seem to be a router are compared
once more: of so many pairs, some pass a test by chance, but hardly twice.
"""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PIECE = 256
"""The addresses that are compared with all of another piece, or of their own."""
_TOLERANCE = 1.3
"""The ratio of the rates that one counter may show at two times."""
_SLOW = 50.0
"""Identifications a second that are added to both: the probes themselves raise slow
counters, by how much depends on how many addresses of a router are probed at once."""


def choose_windows(rates: Mapping[int, float]) -> Iterator[list[int]]:
    """Yield lists of numbers such that those of like rates meet in one of them.

    ``rates`` has the rate of each number. The first number of each list is another one.
    """
    order = sorted(rates, key=lambda number: (rates[number], number))
    speeds = np.log([rates[number] + _SLOW for number in order])
    pieces = [order[start : start + PIECE] for start in range(0, len(order), PIECE)]
    for place, piece in enumerate(pieces):
        reach = speeds[place * PIECE + len(piece) - 1] + np.log(_TOLERANCE)
        later = takewhile(
            lambda other: speeds[other * PIECE] <= reach,  # noqa: B023 (used at once)
            range(place + 1, len(pieces)),
        )
        near = [pieces[other] for other in later]
        if not near and len(piece) > 1:
            yield piece
        # Each list has another number of the piece in front.
        for number, other in zip(piece, near, strict=False):
            yield [number, *(each for each in piece if each != number), *other]


def pair_sources(
    sources: Mapping[bytes, bytes | None],
) -> Iterator[tuple[bytes, bytes]]:
    """Yield pairs of addresses about which routers reply from one source.

    ``sources`` has the source for each address; None stands for the address itself.
    """
    groups: dict[bytes, list[bytes]] = {}
    for address, source in sorted(sources.items()):
        groups.setdefault(address if source is None else source, []).append(address)
    for group in groups.values():
        yield from pairwise(group)
