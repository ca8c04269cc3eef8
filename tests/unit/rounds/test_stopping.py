"""Stopping points are diamond-miner's."""

from __future__ import annotations

import numpy as np
import pytest
from diamond_miner.mda import stopping_point

from anabranch.rounds.stopping import count_flows, share_failure


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.01, 1e-6])
def test_flows_rule_out_one_more_link_than_is_known(epsilon: float) -> None:
    """Up to 500 links; none is looked for where none is known."""
    links = np.arange(500)
    flows = count_flows(links, np.full(500, epsilon))
    assert flows[0] == 0
    expected = [stopping_point(int(k) + 1, epsilon) for k in links[1:]]
    assert flows[1:].tolist() == expected


def test_the_failure_probability_is_shared_by_as_many_as_may_be_nested() -> None:
    """All of them together fail as often as was asked for."""
    shared = share_failure(0.05, np.array([0, 1, 2, 10, 1000]))
    assert shared[:2] == pytest.approx([0.05, 0.05])
    assert 1 - (1 - shared[2:]) ** [2, 10, 1000] == pytest.approx([0.05] * 3)
