"""What flows show of load balancers, and what they still have to."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.crossings import ALL
from anabranch.rounds.evidence import (
    Balancers,
    Evidence,
    Sharing,
    want_at_vertices,
    want_flows,
)
from anabranch.rounds.stopping import count_flows, share_failure
from crossed import Row, make_crossings, make_sent

A, B, C, W, X, Y, Z = 1, 2, 3, 11, 12, 13, 14
SENT = make_sent([(prefix, 1, 20, 6) for prefix in range(4)])
rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.just(1),  # No silence is before it.
        st.sampled_from([A, B, C]),
        st.sampled_from([W, X, Y, Z]),
        st.integers(1, 6),
    ),
    unique_by=lambda row: row[:4],
    max_size=30,
)


def find_balancers(*its: Row) -> Balancers:
    """Of all rows together."""
    return Balancers.of(Evidence.of(make_crossings(its, SENT)))


def test_links_of_a_vertex_are_of_one_balancer_and_so_are_those_of_others() -> None:
    """If two vertices share a link; what routing separates stays apart."""
    balancers = find_balancers(
        (0, 1, A, W, 3), (0, 1, A, X, 3), (1, 1, A, X, 2), (2, 1, A, Y, 4)
    )
    assert sorted(zip(balancers.widths, balancers.flows, strict=True)) == [
        (1, 4),
        (2, 8),
    ]


def test_interfaces_share_no_balancer() -> None:
    """Though they lead to one far end."""
    assert find_balancers((0, 1, A, W, 6), (0, 1, B, W, 6)).widths.tolist() == [1, 1]


def test_silence_before_an_interface_counts_too() -> None:
    """By the flows that reached the interface, and were sent to the hop before."""
    sent = make_sent([(0, 5, 5, 4), (0, 6, 7, 6)])
    crossings = make_crossings([(0, 6, A, W, 6)], sent)
    assert crossings.ttl.tolist() == [5, 6]
    assert (crossings.near[0], crossings.far[0], crossings.flows[0]) == (0, A, 4)
    assert crossings.far[crossings.starts].tolist() == [A, W]


def test_silence_counts_as_a_link_that_flows_crossed() -> None:
    """Those of them that were sent to the next hop as well."""
    sent = make_sent([(0, 1, 1, 6), (0, 2, 2, 2)])
    crossings = make_crossings([(0, 1, A, 0, 6)], sent)
    balancers = Balancers.of(Evidence.of(crossings))
    assert (balancers.widths.tolist(), balancers.flows.tolist()) == ([1], [2])


@given(rows)
def test_balancers_are_what_is_connected(its: list[Row]) -> None:
    """As a plain search finds them."""
    together: list[set[tuple[int, int]]] = []
    places = {row[:3] for row in its}
    for place in places:
        links = {(row[2], row[3]) for row in its if row[:3] == place}
        near = [each for each in together if each & links]
        together = [each for each in together if each not in near]
        together.append(links.union(*near))
    assert sorted(find_balancers(*its).widths) == sorted(map(len, together))


@given(rows, st.integers(1, 3))
def test_parts_together_say_what_the_whole_says(its: list[Row], cut: int) -> None:
    """Evidence joins, and sharing adds up."""
    whole = make_crossings(its, SENT)
    parts = [
        make_crossings([row for row in its if (row[0] < cut) == is_low], SENT)
        for is_low in (True, False)
    ]
    evidence = Evidence.join([Evidence.of(part) for part in parts])
    expected = Evidence.of(whole)
    for name in ("links", "flows", "ones", "others", "ends"):
        assert np.array_equal(getattr(evidence, name), getattr(expected, name)), name
    balancers = Balancers.of(evidence)
    added = reduce(Sharing.add, (Sharing.of(part, balancers) for part in parts))
    sharing = Sharing.of(whole, balancers)
    assert np.array_equal(added.nested, sharing.nested)
    assert np.array_equal(added.reach, sharing.reach)


def test_each_prefix_counts_its_load_balancers_and_one_more() -> None:
    """Those that others showed, too; a balancer goes by its prefix with the most."""
    its = [
        (0, 1, A, W, 6),
        (0, 1, B, X, 3),
        (0, 1, B, Y, 3),
        (1, 1, A, W, 6),
        (2, 1, B, X, 6),
    ]
    crossings = make_crossings(its, SENT)
    balancers = Balancers.of(Evidence.of(crossings))
    sharing = Sharing.of(crossings, balancers)
    by_width = dict(zip(balancers.widths, sharing.nested, strict=True))
    assert by_width == {1: 2, 2: 2}
    assert sorted(sharing.reach) == [2 * ALL, 2 * ALL]


@pytest.mark.parametrize(("flows", "share"), [(6, 1), (3, 2), (1, 6)])
def test_a_balancer_wants_what_it_lacks_by_its_reach(flows: int, share: int) -> None:
    """A vertex that one flow in n reaches takes n times as many."""
    crossings = make_crossings([(0, 1, A, W, flows)], SENT)
    balancers = Balancers.of(Evidence.of(crossings))
    sharing = Sharing.of(crossings, balancers)
    needed = count_flows(np.array([1]), share_failure(0.01, np.array([1])))[0]
    assert want_flows(balancers, sharing, 0.01) == pytest.approx(
        [(needed - flows) * share], rel=1e-5
    )
    settled = want_flows(balancers, sharing, 0.999)
    assert (settled[0] == 0) == (flows > 1)


def test_flows_that_vary_ports_do_not_reach_what_goes_by_addresses() -> None:
    """Where they promised to, and did not, no more are wanted."""
    sent = make_sent([(0, 1, 20, 1024)])
    for late, is_wanted in ((0, False), (1, True)):
        crossings = make_crossings([(0, 1, A, W, 3)], sent, late)
        balancers = Balancers.of(Evidence.of(crossings))
        wanted = want_flows(balancers, Sharing.of(crossings, balancers), 0.01)
        assert (wanted[0] > 0) == is_wanted


def test_both_ends_of_a_link_get_the_flows() -> None:
    """On top of those that both had."""
    sent = make_sent([(0, 1, 1, 6), (0, 2, 20, 4)])
    crossings = make_crossings([(0, 1, A, W, 4)], sent)
    wanted = want_at_vertices(np.array([3.0]), crossings, sent, 0)
    assert np.argwhere(wanted).tolist() == [[0, 1], [0, 2]]
    assert set(wanted[wanted > 0].tolist()) == {7}


def test_a_hop_grows_to_four_times_its_flows_at_once() -> None:
    """By sixteen if it has few."""
    for flows, most in ((1, 17), (100, 400)):
        sent = make_sent([(0, 1, 20, flows)])
        crossings = make_crossings([(0, 1, A, W, 1)], sent)
        wanted = want_at_vertices(np.array([1e6]), crossings, sent, 0)
        assert wanted.max() == most


def test_less_than_a_flow_for_each_prefix_is_one_for_some() -> None:
    """Others in the next round, if it has to be."""
    prefixes = 1000
    sent = make_sent([(index, 1, 20, 1) for index in range(prefixes)], prefixes)
    crossings = make_crossings([(i, 1, A, W, 1) for i in range(prefixes)], sent)
    share = np.full(prefixes, 0.25)
    asked = [
        want_at_vertices(share, crossings, sent, salt)[:, 1] > 0 for salt in (1, 2)
    ]
    assert 180 < asked[0].sum() < 320
    assert (asked[0] != asked[1]).any()
