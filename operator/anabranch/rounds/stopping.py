"""How many flows it takes to have seen all links, with a given probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def share_failure(
    failure_probability: float, most_links: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The failure probability that each TTL of a prefix may have.

    Where a prefix has up to K links at a TTL, as many load balancers may be nested:
    each gets 1 - (1 - epsilon)^(1/K), as diamond-miner's ``adaptive_eps`` has it.
    """
    links = np.maximum(most_links, 1)
    shared: NDArray[np.float64] = 1 - np.exp(np.log1p(-failure_probability) / links)
    return shared


def count_flows(
    links: NDArray[np.int64], failure_probability: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The flows after which no link is likely to be missing, where so many are known.

    If there were k + 1 links, n flows would miss one of them with a probability of at
    most (k + 1) (k / (k + 1))^n. The n that makes it epsilon is Diamond-Miner's
    stopping point (Vermeulen et al., NSDI 2020), ceil(ln(epsilon / (k + 1)) /
    ln(k / (k + 1))). Where no link is known, none is looked for.

    That holds for one load balancer of k + 1 next hops, and for several at a hop if
    they are alike. Of a branch that is wider than the others more is missed: the links
    of a hop are counted together, and only some of the flows reach that branch.
    """
    k = np.maximum(links, 1).astype(np.float64)
    flows = np.ceil(np.log(failure_probability / (k + 1)) / np.log(k / (k + 1)))
    return np.where(links > 0, flows, 0).astype(np.int64)
