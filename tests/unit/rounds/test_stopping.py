"""Stopping points are diamond-miner's, and links are missed as often as said."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from diamond_miner.mda import stopping_point

from anabranch.rounds.stopping import (
    count_flows,
    expect_links,
    miss_links,
    share_failure,
)


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


def test_a_link_is_missed_if_no_flow_to_any_prefix_crosses_it() -> None:
    """Without flows it always is."""
    missed = miss_links(
        links=np.array([0, 0, 1, 2, 2]),
        known=np.array([1, 3, 2, 0, 5]),
        flows=np.array([2, 4, 1, 0, 0]),
    )
    assert missed == pytest.approx([0.5**2 * 0.75**4, 2 / 3, 1])
    nothing = np.array([], np.int64)
    assert miss_links(nothing, nothing, nothing).size == 0


@pytest.mark.parametrize(("known", "flows"), [(1, 3), (4, 6), (9, 20)])
def test_links_that_are_there_are_missed_as_often_as_said(
    known: int, flows: int
) -> None:
    """If flows are spread evenly over them and the known ones."""
    trials = 100_000
    drawn = np.random.default_rng(1).integers(known + 1, size=(trials, flows))
    often = np.mean((drawn != 0).all(axis=1))
    (said,) = miss_links(np.array([0]), np.array([known]), np.array([flows]))
    assert often == pytest.approx(said, abs=5 * (said * (1 - said) / trials) ** 0.5)


@pytest.mark.parametrize("epsilon", [0.05, 0.01, 0.001])
def test_a_load_balancer_that_is_counted_by_itself_keeps_its_promise(
    epsilon: float,
) -> None:
    """Of so many next hops, some are missed with epsilon or its square more.

    It stops too early with k next hops if n flows choose among k of them alone. The sum
    over k bounds that from above.
    """
    for hops in range(2, 300):
        k = np.arange(1, hops)
        flows = count_flows(k, np.full(hops - 1, epsilon))
        choices = [comb(hops, int(each)) for each in k]
        missed = sum(choices * (k / hops) ** flows)
        assert missed <= epsilon * (1 + epsilon)


def test_a_round_promises_what_the_last_one_found() -> None:
    """For each probe, and one more, so that no luck is not no hope."""
    assert expect_links(100, 9, 1_000) == 1
    assert expect_links(100, 0, 1_000) == 0.1
    assert expect_links(100, 0, 0) == 100
