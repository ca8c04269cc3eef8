"""Weigh what flows have shown of load balancers: the rules full and shared.

*Crossings* are those of ``crossings``. A *vertex* is an interface at a TTL of a prefix,
or the silence before one. Its links belong together, and so do the links of two
vertices that share one: they are of one *balancer*. What routing separates stays apart
in this way, and what balances load stays together. A balancer with k links of which n
flows chose one is settled once n reaches the stopping point of k, since n flows would
have found one more link.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anabranch.rounds.crossings import ALL
from anabranch.rounds.hashes import add_up, find_places, take_once
from anabranch.rounds.mixing import mix
from anabranch.rounds.stopping import count_flows, share_failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from anabranch.rounds.crossings import Crossings
    from anabranch.rounds.sent import Matrix, Sent

    Numbers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]
    Shares = NDArray[np.float64]


class Scope(enum.Enum):
    """Which prefixes share evidence. Elsewhere, links of two prefixes differ."""

    PREFIX = "prefix"
    """None: the rule full."""
    SURVEY = "survey"
    """All: the rule shared."""


_GROWTH = 3
_LEAST_GROWTH = 16
"""A hop may get so many times the flows that it has at once, and always so many.

A vertex that few flows reached is reached by even fewer than they suggest, since nobody
looks at those that none reached."""


@dataclass(frozen=True)
class Evidence:
    """The links that flows crossed, and which of them belong together."""

    links: Hashes
    """Each link once, sorted."""
    flows: Numbers
    """The flows that crossed each."""
    ones: Hashes
    others: Hashes
    """Pairs of links of one vertex, each once: the one and the other."""
    ends: Hashes
    """The far ends of links, each once, sorted."""

    @staticmethod
    def of(crossings: Crossings) -> Evidence:
        """Return the evidence of some prefixes."""
        links, flows = add_up(crossings.link, crossings.flows)
        is_other = np.ones(len(crossings.link), dtype=bool)
        is_other[crossings.starts] = False
        others = np.flatnonzero(is_other)
        pairs = _find_once(crossings.link[others - 1], crossings.link[others])
        ends = crossings.far[(crossings.far != 0) & (crossings.near != 0)]
        return Evidence(links, flows, *pairs, take_once(ends))

    @staticmethod
    def join(parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of several parts together."""
        links, flows, ones, others, ends = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("links", "flows", "ones", "others", "ends")
        )
        return Evidence(
            *add_up(links, flows), *_find_once(ones, others), take_once(ends)
        )


@dataclass(frozen=True)
class Balancers:
    """The balancers of some evidence."""

    links: Hashes
    """Each link once, sorted."""
    numbers: Numbers
    """The balancer of each link, from 0."""
    widths: Numbers
    """The number of links of each balancer."""
    flows: Numbers
    """The flows that chose one of its links."""

    @staticmethod
    def of(evidence: Evidence) -> Balancers:
        """Find the balancers: what is connected by pairs of links."""
        ends = (evidence.ones, evidence.others)
        ones, others = (find_places(evidence.links, each) for each in ends)
        numbers = _connect(len(evidence.links), ones, others)
        widths = np.bincount(numbers)
        flows = np.bincount(numbers, weights=evidence.flows).astype(np.int64)
        return Balancers(evidence.links, numbers, widths, flows)

    def find(self, crossings: Crossings) -> Numbers:
        """Return the balancer of each vertex."""
        links = crossings.link[crossings.starts]
        numbers: Numbers = self.numbers[find_places(self.links, links)]
        return numbers


@dataclass(frozen=True)
class Sharing:
    """How prefixes share balancers."""

    nested: Numbers
    """The most load balancers on the paths to a prefix behind each balancer."""
    reach: Numbers
    """The sum of the reaches of each balancer's vertices."""

    @staticmethod
    def of(crossings: Crossings, balancers: Balancers) -> Sharing:
        """Return how some prefixes share balancers.

        One load balancer more than is known is counted for each prefix: if one is
        missed, it has its share of the failure probability too.
        """
        numbers, prefix = balancers.find(crossings), crossings.prefix[crossings.starts]
        is_branching = balancers.widths[numbers] > 1
        behind, _ = _find_once(prefix[is_branching], numbers[is_branching])
        known = np.searchsorted(behind, prefix, "right")
        known -= np.searchsorted(behind, prefix, "left")
        nested = np.ones(len(balancers.widths), dtype=np.int64)
        np.maximum.at(nested, numbers, known + 1)
        reach = np.zeros_like(nested)
        np.add.at(reach, numbers, crossings.reach)
        return Sharing(nested, reach)

    def add(self, other: Sharing) -> Sharing:
        """Return the sharing of both parts together."""
        nested = np.maximum(self.nested, other.nested)
        return Sharing(nested, self.reach + other.reach)


def want_flows(
    balancers: Balancers, sharing: Sharing, failure_probability: float
) -> Shares:
    """Return the flows that each prefix behind a balancer must send to settle it.

    The flows that lack are spread evenly over the prefixes. If they are fewer than the
    prefixes, each prefix gets less than one.
    """
    share = share_failure(failure_probability, sharing.nested)
    lacking = np.maximum(count_flows(balancers.widths, share) - balancers.flows, 0)
    wanted: Shares = ALL * lacking / np.maximum(sharing.reach, 1)
    return np.where(sharing.reach > 0, wanted, 0.0)


def want_at_vertices(
    wanted: Shares, crossings: Crossings, sent: Sent, salt: int
) -> Matrix:
    """Return the flows that settle balancers, by prefix and TTL.

    ``wanted`` is what each vertex's balancer wants of each prefix. A share of a flow is
    the probability to send one, which the prefix and ``salt`` draw.
    """
    prefix, ttl = (
        column[crossings.starts] for column in (crossings.prefix, crossings.ttl)
    )
    place = sent.find(prefix)
    asked = sent.both(prefix, ttl)
    more = np.floor(wanted + _draw(prefix, salt)).astype(np.int64)
    more = np.minimum(more, np.maximum(_GROWTH * asked, _LEAST_GROWTH))
    asks = more > 0
    place, ttl, flows = place[asks], ttl[asks], (asked + more)[asks]
    matrix = np.zeros_like(sent.flows)
    flows = flows.astype(matrix.dtype)
    for hop in (ttl, ttl + 1):
        np.maximum.at(matrix, (place, hop), flows)
    return matrix


def _draw(numbers: Numbers, salt: int) -> Shares:
    """Return a number from 0 up to 1 for each of these."""
    words = numbers.astype(np.uint64) << np.uint64(16) | np.uint64(salt)
    drawn: Shares = (mix(words) >> np.uint64(11)) / float(1 << 53)
    return drawn


def _find_once(
    ones: NDArray[Any], others: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return each pair once, sorted."""
    order = np.lexsort((others, ones))
    ones, others = ones[order], others[order]
    is_new = (ones[1:] != ones[:-1]) | (others[1:] != others[:-1])
    kept = np.r_[True, is_new][: len(ones)]
    return ones[kept], others[kept]


def _connect(count: int, ones: Numbers, others: Numbers) -> Numbers:
    """Number the connected components of a graph: return the number of each node.

    Each node takes the lowest label of its neighbours, and then that label's own, until
    nothing changes.
    """
    labels = np.arange(count)
    while True:
        lowest = np.minimum(labels[ones], labels[others])
        lower = labels.copy()
        for ends in (ones, others):
            np.minimum.at(lower, labels[ends], lowest)
        lower = lower[lower]
        if np.array_equal(lower, labels):
            return np.unique(labels, return_inverse=True)[1]
        labels = lower
