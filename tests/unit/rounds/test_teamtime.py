"""How long a team takes, in fast motion: a second is a turn of a loop.

Each destination takes some probes at once. Every other one is behind five silent hops:
three attempts at each wait five seconds.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest

from anabranch.rounds.division import (
    Division,
    HandOut,
    count_at_once,
    count_blocks,
    find_owners,
)
from anabranch.rounds.rates import share_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TARGETS = 40_960
RATES = {"a": 50, "b": 100, "c": 150, "d": 300, "e": 400}
AT_FIRST, SILENT, WAIT = 20, 15, 5
"""Probes of a destination, those to its silent hops, and seconds between these."""
TAIL = SILENT * WAIT
LOST_SECONDS = 300
"""How long what a lost agent had is left alone, if the agent does not come back."""


@dataclass
class Tracing:
    """An agent's work on a hand-out."""

    number: int
    left: deque[int]
    """The blocks of the destinations that have not begun."""
    begun: deque[tuple[int, int]] = field(default_factory=deque)
    """When which block's destinations began that have not ended."""
    due: Counter[int] = field(default_factory=Counter)
    """How many probes to silent hops are due when."""
    late: int = 0
    pace: int = 0
    credit: int = 0

    @property
    def is_ending(self) -> bool:
        """Whether all has begun."""
        return not self.left

    def send(self, now: int, share: int) -> int:
        """Send up to a share; return how much was sent."""
        self.late += sum(self.due.pop(at) for at in sorted(self.due) if at <= now)
        again = min(self.late, share)
        self.late -= again
        self.credit += share - again
        first = 0
        while self.left and self.credit >= AT_FIRST:
            self.credit -= AT_FIRST
            first += AT_FIRST
            self.begun.append((now, self.left.popleft()))
            if len(self.left) % 2:
                self.due.update(range(now + WAIT, now + TAIL + 1, WAIT))
        self.credit = self.credit if self.left else 0
        self.pace = again + first
        return self.pace

    def end(self, now: int) -> Iterator[int]:
        """Yield the block of each destination that has ended."""
        while self.begun and not self.late and self.begun[0][0] + TAIL <= now:
            yield self.begun.popleft()[1]


@dataclass
class Team:
    """Agents that share destinations, some of which may go and come back."""

    rates: Mapping[str, int]
    now: int = 0
    sent: int = 0
    possible: int = 0
    """What those who were there could have sent."""
    given: list[HandOut] = field(default_factory=list)
    going: dict[str, list[Tracing]] = field(default_factory=dict)
    ended: Counter[int] = field(default_factory=Counter)
    """How many destinations of each block have ended."""
    over: set[int] = field(default_factory=set)
    returned: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.blocks = count_blocks(self.rates.values(), TARGETS, goes_on=False)
        self.sizes = Counter(target % self.blocks for target in range(TARGETS))

    def run(self, away: Mapping[str, tuple[int, int]]) -> None:
        """Trace all; ``away`` says from when to when agents can't send."""
        while self.ended.total() < TARGETS:
            there = dict(self.rates)
            for name, (since, until) in away.items():
                if since <= self.now < until:
                    del there[name]
                if self.now == min(until, since + LOST_SECONDS):
                    self._lose(name)
            for name, rate in there.items():
                self._take(name, there)
                self._send(name, rate)
            self.possible += sum(there.values())
            self.now += 1

    def _lose(self, name: str) -> None:
        """Let others have what an agent left when it went, in an order of theirs."""
        tracings = self.going.pop(name, [])
        self.returned |= {each.number for each in tracings}

    def _take(self, name: str, there: Mapping[str, int]) -> None:
        going = self.going.setdefault(name, [])
        is_full = len(going) == count_at_once(there[name])
        if is_full or not all(each.is_ending for each in going):
            return
        division = Division(self.blocks, self.given, self.returned)
        if blocks := division.choose(name, there):
            sizes = ((block, self.sizes[block] - self.ended[block]) for block in blocks)
            left = chain.from_iterable(repeat(*each) for each in sizes)
            going.append(Tracing(len(self.given), deque(left)))
            self.given.append(HandOut(name, blocks))

    def _send(self, name: str, rate: int) -> None:
        going = self.going[name]
        wanted = dict.fromkeys((each.number for each in going), rate)
        ending = {each.number: each.pace for each in going if each.is_ending}
        shares = share_rate(rate, wanted, ending)
        for each in list(going):
            self.sent += each.send(self.now, shares[each.number])
            self.ended.update(each.end(self.now))
            if each.is_ending and not each.begun:
                self.over.add(each.number)
                going.remove(each)


@pytest.mark.parametrize(
    ("more", "away"),
    [
        ({}, {}),
        ({}, {"c": (200, 400)}),
        ({}, {"c": (200, 900)}),
        ({}, {"e": (500, 10_000)}),
        ({"f": 200}, {}),
        ({"f": 200}, {"c": (200, 400), "e": (500, 10_000)}),
    ],
    ids=["all", "one back", "one late", "one killed", "one added", "all of it"],
)
def test_a_team_takes_little_longer_than_its_rates_allow(
    more: dict[str, int], away: dict[str, tuple[int, int]]
) -> None:
    """Within 1.15, and each destination ends at one agent."""
    team = Team(RATES | more)
    team.run(away)
    assert team.ended == team.sizes
    owners = find_owners(team.given)
    assert set(owners.values()) <= team.over
    ratio = team.possible / team.sent
    logging.getLogger(__name__).info("%d s, ratio %.2f", team.now, ratio)
    assert ratio <= 1.15
