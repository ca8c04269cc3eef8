"""Estimate how many links load balancers have that no flow has chosen.

A balancer of w links that is chosen evenly shows k of them to n flows with a
probability that depends on these numbers alone: the classical occupancy distribution
(Feller, An Introduction to Probability Theory and Its Applications, volume 1, II.5).
How many balancers have which width is not known beforehand. The widths that make the
survey's own balancers most likely are taken for it (the nonparametric maximum
likelihood estimate of a mixing distribution; Laird, JASA 73, 1978).

The estimate is as good as this model. It does not see what lies behind a missing link,
and takes uneven balancers for even ones: both make it too low.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from anabranch.rounds.stopping import count_flows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Shares = NDArray[np.float64]

_WIDEST = 128
"""The width from which on a balancer is taken to be complete. Silence and paths of
unequal length join what are several balancers to such wide ones."""
_CERTAIN = 1e-6
"""The probability of a missing link at which a balancer counts as complete."""
_ITERATIONS = 300
"""The steps towards the most likely widths; later ones change no digit that is told."""


def estimate_unseen(widths: Numbers, flows: Numbers) -> float:
    """Return the expected number of links that some balancers have and did not show.

    ``widths`` are the numbers of links that each showed, ``flows`` the numbers of flows
    that chose one.
    """
    enough = int(count_flows(np.array([_WIDEST]), np.array([_CERTAIN]))[0])
    counts = (flows > 0) & (widths < _WIDEST)
    shown, chosen = widths[counts], np.minimum(flows[counts], enough)
    # Silence is a link of which no flows may be known.
    kinds = shown * (enough + 1) + np.maximum(chosen, shown)
    alike = np.bincount(kinds)
    numbers = alike[alike > 0]
    shown, chosen = np.divmod(np.flatnonzero(alike), enough + 1)
    if not len(numbers):
        return 0.0
    likelihood = _show(shown, chosen, int(min(2 * shown.max() + 1, _WIDEST)))
    share = np.ones(likelihood.shape[1])
    for _ in range(_ITERATIONS):
        share = numbers @ _weigh(likelihood, share) / numbers.sum()
    unseen = np.arange(1, likelihood.shape[1] + 1) - shown[:, np.newaxis]
    return float(numbers @ (_weigh(likelihood, share) * unseen).sum(axis=1))


def _weigh(likelihood: Shares, share: Shares) -> Shares:
    """Return the probability of each width for each kind of balancer."""
    both = likelihood * share
    weighed: Shares = both / both.sum(axis=1, keepdims=True)
    return weighed


def _show(shown: Numbers, chosen: Numbers, widest: int) -> Shares:
    """Return how probably balancers of each width show so many links to so many flows.

    Rows are of these kinds, columns of the widths from 1 to ``widest``.
    """
    rows = defaultdict(list)
    for row, flows in enumerate(chosen.tolist()):
        rows[flows].append(row)
    width = np.arange(1, widest + 1)[:, np.newaxis]
    known = np.arange(widest + 1)
    repeats = np.minimum(known / width, 1.0)
    # The probability of each number of known links, for each width.
    probability = (known == 0) * np.ones_like(repeats)
    table = np.zeros((len(shown), widest))
    for flows in range(1, int(chosen.max()) + 1):
        is_new = (probability * (1 - repeats))[:, :-1]
        probability = probability * repeats
        probability[:, 1:] += is_new
        for row in rows[flows]:
            table[row] = probability[:, shown[row]]
    return table
