"""How many flows were sent, and which more are demanded."""

from __future__ import annotations

import numpy as np

from crossed import make_sent


def test_what_was_sent_is_not_asked_again() -> None:
    """What is more is, from there on; neighbouring TTLs become one row."""
    sent = make_sent([(0, 4, 6, 2), (1, 4, 4, 9)], bounds=(4, 6))
    wanted = np.full_like(sent.flows, 5)
    asked = [tuple(row.values()) for row in sent.ask(wanted).to_pylist()]
    assert asked == [
        (0, 4, 6, 2, 3),
        (1, 5, 6, 0, 5),
        (2, 4, 6, 0, 5),
        (3, 4, 6, 0, 5),
    ]


def test_a_link_is_asked_by_the_flows_that_both_ends_had() -> None:
    """By prefix and near TTL."""
    sent = make_sent([(0, 1, 5, 6), (0, 6, 9, 4)])
    prefix, ttl = np.array([0, 0, 0, 1]), np.array([4, 5, 9, 4])
    assert sent.both(prefix, ttl).tolist() == [6, 4, 0, 0]


def test_first_and_last_ttls_are_those_that_were_sent_to() -> None:
    """0 for a prefix to which nothing was."""
    sent = make_sent([(0, 3, 7, 1), (2, 1, 40, 1)])
    assert sent.first.tolist() == [3, 0, 1, 0]
    assert sent.last.tolist() == [7, 0, 40, 0]
