"""Topologies of our own, and how often a stopping rule misses some of one."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, exp, lgamma, log, prod


@dataclass(frozen=True)
class Layers:
    """A graph of layers of these widths, from the first router to the destination.

    A layer is connected with the next so that numbers of next hops differ by one at
    most.
    """

    widths: tuple[int, ...]

    def links(self, copy: int) -> list[tuple[str, str]]:
        """Its links, with addresses that no other copy has: 240.0.0.0/4 holds 3,840."""

        def address(hop: int, place: int) -> str:
            return f"{240 + copy // 256}.{copy % 256}.{hop}.{place}"

        pairs = enumerate(zip(self.widths, self.widths[1:], strict=False))
        return [
            (address(hop, place % near), address(hop + 1, place % far))
            for hop, (near, far) in pairs
            for place in range(max(near, far))
        ]

    def destination(self, copy: int) -> str:
        """Where the links of a copy lead."""
        return self.links(copy)[-1][1]

    def file(self, copy: int) -> str:
        """A copy as a topology file."""
        links = self.links(copy)
        lines = [("127.0.0.1", links[0][0]), *links]
        return "".join(f"{near} {far}\n" for near, far in lines)

    def failure_probability(self, bound: float) -> float:
        """Of missing some, with this bound for each vertex (Veitch et al., 2009)."""
        counts: dict[str, int] = {}
        for near, _ in self.links(0):
            counts[near] = counts.get(near, 0) + 1
        found = (1 - miss_probability(count, bound) for count in counts.values())
        return 1 - prod(found)


def stopping_point(found: int, bound: float) -> int:
    """Probes after which there is no further next hop, but for this probability."""
    hops, probes = found + 1, 1
    while (
        sum(
            (-1) ** (i + 1) * comb(hops, i) * (1 - i / hops) ** probes
            for i in range(1, hops)
        )
        > bound
    ):
        probes += 1
    return probes


def miss_probability(hops: int, bound: float) -> float:
    """Of stopping before all of so many equally likely next hops are found."""
    stops = {found: stopping_point(found, bound) for found in range(1, hops)}
    at = {1: 1.0} if hops > 1 else {}
    missed = 0.0
    probes = 1
    while at:
        missed += sum(share for found, share in at.items() if probes >= stops[found])
        after: dict[int, float] = {}
        for found, share in at.items():
            if probes >= stops[found]:
                continue
            after[found] = after.get(found, 0) + share * found / hops
            if found + 1 < hops:
                after[found + 1] = (
                    after.get(found + 1, 0) + share * (hops - found) / hops
                )
        at = after
        probes += 1
    return missed


def prediction_interval(runs: int, probability: float, share: float) -> range:
    """The counts among runs that this share of runs has, the rest on both sides."""
    below, tail = 0.0, (1 - share) / 2
    first = None
    for count in range(runs + 1):
        ways = lgamma(runs + 1) - lgamma(count + 1) - lgamma(runs - count + 1)
        chance = exp(
            ways + count * log(probability) + (runs - count) * log(1 - probability)
        )
        if first is None and below + chance > tail:
            first = count
        below += chance
        if below >= 1 - tail:
            return range(first or 0, count + 1)
    return range(first or 0, runs + 1)
