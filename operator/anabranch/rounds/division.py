"""How a team shares the blocks of a plan; pure.

The agents of a team share one plan. Blocks are handed out to them, so that each block
has one sender at a time. Who gets which block stands in a log of hand-outs, which only
grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from anabranch.api.agent import AgentSpec

BLOCKS_OF_SLOWEST = 32
"""A team's plan has so many blocks that its slowest agent would get this many. A block
is the least that can be handed out, so it must be little work for any agent."""
_BLOCKS_OVER_ROUNDS = 2
"""The same for tools with several rounds, each of which works on each block."""
MOST_BLOCKS_OF_PLAN = 1024
"""The most blocks of a team's plan: the Job that concludes a step works on each."""
MOST_BLOCKS = 256
"""The most blocks of a hand-out."""
AT_ONCE = 8
"""The most hand-outs that an agent works on: one begins, and the others end. A trace
behind silent hops may take longer than it takes to begin the next hand-outs, which get
smaller towards the end of a step."""
_LEAST_AT_ONCE = 2
_LEAST_RATE = 10
"""How many probes a second an agent must have for each hand-out beyond these: each gets
whole ones."""
_SHARE = 2
"""A hand-out is one in so many of an agent's fair share of what is left."""


@dataclass(frozen=True)
class HandOut:
    """Blocks that an agent probes, from the slots at which their parts end."""

    agent: str
    blocks: tuple[int, ...]


def count_blocks(rates: Collection[int], targets: int, *, goes_on: bool) -> int:
    """Return the number of blocks of a team's plan with so many targets.

    ``goes_on`` tells whether further rounds follow the first one.
    """
    of_slowest = _BLOCKS_OVER_ROUNDS if goes_on else BLOCKS_OF_SLOWEST
    wanted = -(-of_slowest * sum(rates) // min(rates))
    return min(wanted, MOST_BLOCKS_OF_PLAN, targets)


def count_at_once(rate: int) -> int:
    """Return the most hand-outs that an agent works on, by its probes a second."""
    return min(AT_ONCE, max(rate // _LEAST_RATE, _LEAST_AT_ONCE))


def share_ttls(team: str, specs: Collection[AgentSpec]) -> tuple[int, int]:
    """Return the lowest and the highest TTL that all agents of a team may probe.

    Raises:
        ValueError: If there is none, with the remedy.
    """
    lowest = max(spec.min_ttl for spec in specs)
    highest = min(spec.max_ttl for spec in specs)
    if lowest > highest:
        raise ValueError(
            f"agents[{team}]: its agents share no TTL: one begins with {lowest}, and "
            f"another one ends with {highest}; divide the entry"
        )
    return lowest, highest


def find_owners(given: Iterable[HandOut]) -> dict[int, int]:
    """Return the number of the hand-out that each block belongs to: the last one."""
    return {block: number for number, each in enumerate(given) for block in each.blocks}


def find_keepers(given: Sequence[HandOut]) -> dict[int, str]:
    """Return the agent that each block belongs to in the end."""
    return {block: given[number].agent for block, number in find_owners(given).items()}


@dataclass(frozen=True)
class Division:
    """The blocks of a step's plan, and to whom they were handed out."""

    blocks: int
    """The number of blocks."""
    given: Sequence[HandOut]
    """The hand-outs so far."""
    returned: Collection[int] = ()
    """The numbers of hand-outs whose agents are lost: what they left goes to others."""
    keepers: Mapping[int, str] = field(default_factory=dict)
    """Who had each block in the step before, and gets it again if it can probe."""

    @cached_property
    def left(self) -> list[int]:
        """The blocks that nobody has."""
        owners = find_owners(self.given)
        return [
            block
            for block in range(self.blocks)
            if block not in owners or owners[block] in self.returned
        ]

    def choose(self, agent: str, rates: Mapping[str, int]) -> tuple[int, ...]:
        """Return the blocks that an agent gets next; none if there are none for it.

        ``rates`` has the agents that can probe now, in probes a second.

        A hand-out is half of the agent's share of what is left, by the rates. So it
        gets smaller towards the end, and no agent has much left when the others are
        through (guided self-scheduling: Polychronopoulos and Kuck, IEEE ToC C-36,
        1987). An agent gets none that would take it longer than the others need for
        all that is left, unless none is faster.
        """
        keepers = [self.keepers.get(block) for block in self.left]
        pairs = list(zip(self.left, keepers, strict=True))
        if own := [block for block, keeper in pairs if keeper == agent]:
            return tuple(own[:MOST_BLOCKS])
        free = [block for block, keeper in pairs if keeper not in rates]
        own_rate, fastest = rates[agent], max(rates.values())
        others = sum(rates.values()) - own_rate
        if own_rate < fastest and own_rate * len(free) < others:
            return ()
        count = -(-len(free) * own_rate // (_SHARE * sum(rates.values())))
        return tuple(free[: min(count, MOST_BLOCKS)])
