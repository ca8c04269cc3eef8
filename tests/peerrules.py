"""The rules of other tools that send one flow to each prefix, as pure functions.

Each asks for one probe after the other, and returns the interfaces that it met.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_TTL = 32


class Answer(NamedTuple):
    """Who answered a probe; ``distance`` is the TTL that it took, if it is the host."""

    address: str
    distance: int | None


Ask = Callable[[int, int], Answer | None]
"""Sends a probe to a prefix, by number, with a TTL."""
Hops = dict[int, dict[int, str]]
"""The interface at each TTL of each prefix."""


def fill_as_yarrp(prefixes: int, ask: Ask, last_ttl: int = 16) -> Hops:
    """Ask for each TTL up to the last one, and for one more after each reply there.

    This is yarrp with ``-m 16 -F 32``: the fill mode goes on until nobody answers.
    """
    hops: Hops = defaultdict(dict)
    for prefix in range(prefixes):
        for ttl in range(1, MAX_TTL + 1):
            if ttl > last_ttl and ttl - 1 not in hops[prefix]:
                break
            answer = ask(prefix, ttl)
            if answer and answer.distance is None:
                hops[prefix][ttl] = answer.address
    return hops


SPLIT_TTL, GAP, SPAN = 16, 5, 5


def probe_as_flashroute(prefixes: int, ask: Ask) -> Hops:
    """Probe each prefix backward and forward from about where its host is.

    FlashRoute (Huang et al., IMC 2020) asks first how far each host is, and takes that
    of a neighbour in a span of five where a host is silent, or else 16. Backward, it
    stops at an interface that it has met; forward, at the host or behind five silent
    hops. Each round has a probe of both directions for each prefix.
    """
    known = {
        prefix: answer.distance
        for prefix in range(prefixes)
        if (answer := ask(prefix, MAX_TTL)) and answer.distance
    }
    seen: set[str] = set()
    routes = {}
    for prefix in range(prefixes):
        spans = (prefix + side * n for n in range(SPAN + 1) for side in (1, -1))
        split = next((known[each] for each in spans if each in known), SPLIT_TTL)
        forth = MAX_TTL if prefix in known else split
        routes[prefix] = _Route(split, forth + 1)
    going = routes
    while going:
        for prefix, route in going.items():
            route.probe_back(prefix, ask, seen)
            route.probe_forth(prefix, ask, seen)
        going = {prefix: route for prefix, route in going.items() if route.goes_on}
    return {prefix: route.hops for prefix, route in routes.items()}


@dataclass
class _Route:
    """What FlashRoute knows of the way to a prefix."""

    back: int
    """The TTL to ask for next on the way back; 0 if that is over."""
    forth: int
    """The one on the way forth; above `MAX_TTL` if that is over."""
    silent: int = 0
    """How many hops in a row were silent on the way forth."""
    hops: dict[int, str] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        return self.back > 0 or self.forth <= MAX_TTL

    def probe_back(self, prefix: int, ask: Ask, seen: set[str]) -> None:
        if self.back <= 0:
            return
        answer = ask(prefix, self.back)
        if answer and answer.distance is None:
            self.hops[self.back] = answer.address
            if answer.address in seen:
                self.back = 1
            seen.add(answer.address)
        self.back -= 1

    def probe_forth(self, prefix: int, ask: Ask, seen: set[str]) -> None:
        if self.forth > MAX_TTL:
            return
        answer = ask(prefix, self.forth)
        self.silent = 0 if answer else self.silent + 1
        if answer and answer.distance is None:
            self.hops[self.forth] = answer.address
            seen.add(answer.address)
        self.forth += 1
        if (answer and answer.distance) or self.silent == GAP:
            self.forth = MAX_TTL + 1
