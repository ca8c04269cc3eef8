"""Which faults strike when: a function of a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NEXT_SECONDS = 15.0
"""The mean time from one fault to the next one."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    name: str
    least: float = 0.0
    """How many seconds it lasts at least, where it lasts."""
    most: float = 0.0
    is_quick: bool = True
    """Whether what it breaks works again some seconds after its end."""


@dataclass(frozen=True)
class Strike:
    """A fault at a time."""

    at: float
    """In seconds from the start."""
    kind: str
    node: int
    """Which node it strikes, if it strikes one; counted from 0."""
    lasts: float
    """In seconds."""

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.kind} at node {self.node}, {self.lasts:.1f} s"


def draw_strikes(
    seed: int, seconds: float, kinds: Sequence[Kind], nodes: int
) -> list[Strike]:
    """The faults of so many seconds, in order; no kind twice before all others came."""
    draw = random.Random(seed)  # noqa: S311 (it is to be the same again)
    found = list[Strike]()
    at, bag = 0.0, list[Kind]()
    while True:
        at += draw.uniform(NEXT_SECONDS / 2, NEXT_SECONDS * 3 / 2)
        if at > seconds:
            return found
        if not bag:
            bag = draw.sample(kinds, len(kinds))
        kind = bag.pop()
        lasts = draw.uniform(kind.least, kind.most)
        found.append(Strike(at, kind.name, draw.randrange(nodes), lasts))
