"""How many flows it takes to find all links, and what it means to find one no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def share_failure(
    failure_probability: float, most_links: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the failure probability of each load balancer on the paths to a prefix.

    ``most_links`` has the largest number of links, K, at any TTL of each prefix. Up to
    K load balancers may then be nested, and each gets 1 - (1 - epsilon)^(1/K), as in
    diamond-miner's ``adaptive_eps``.
    """
    links = np.maximum(most_links, 1)
    shared: NDArray[np.float64] = 1 - np.exp(np.log1p(-failure_probability) / links)
    return shared


def count_flows(
    links: NDArray[np.int64], failure_probability: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the stopping point of each hop: the flows to send, given its known links.

    If a hop with k known links had k + 1, n flows would miss one of them with a
    probability of at most (k + 1) (k / (k + 1))^n. The n that makes this epsilon is
    Diamond-Miner's stopping point (Vermeulen et al., NSDI 2020):
    ceil(ln(epsilon / (k + 1)) / ln(k / (k + 1))). For a hop without links it is 0.

    The bound holds for one load balancer with k + 1 next hops, and for several at a hop
    if they have the same number of next hops. In a branch that is wider than the
    others, more links are missed: the links of a hop are counted together, but only
    some of the flows reach that branch.
    """
    k = np.maximum(links, 1).astype(np.float64)
    flows = np.ceil(np.log(failure_probability / (k + 1)) / np.log(k / (k + 1)))
    return np.where(links > 0, flows, 0).astype(np.int64)


LEAST_PROMISE = 0.00002
"""The share of new links that a round of the rule shared must promise to be sent."""


def expect_links(probes: int, found: int, sent: int) -> float:
    """Return the number of new links that some probes promise.

    The ``sent`` probes before found ``found`` of them. One more is counted there, as in
    Laplace's rule of succession, so that no luck is not no hope.
    """
    return probes * (found + 1) / max(sent, 1)


def miss_links(
    links: NDArray[np.int64], known: NDArray[np.int64], flows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return for each link the probability that no flow crosses it, if it is there.

    Each row is of a link, numbered from 0. ``flows`` flows to some prefixes went on
    from its near end, from where ``known`` other links lead to each of these prefixes.
    If the link were there too and flows were spread evenly, one flow would miss it with
    the probability k / (k + 1), and n flows with (k / (k + 1))^n. Flows of different
    rows choose independently. A row without flows tells nothing.
    """
    k = np.maximum(known, 1).astype(np.float64)
    logarithms = flows * np.log(k / (k + 1))
    missed: NDArray[np.float64] = np.exp(np.bincount(links, weights=logarithms))
    return missed
