"""Where the rule shared looks first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from anabranch.rounds.sent import AHEAD_TTLS, FIRST_TTLS
from anabranch.rounds.steps import WINDOW_STARS
from anabranch.rounds.sweeping import (
    BACK_TTLS,
    ask_pilots,
    find_first_ttl,
    find_last_ttls,
    sweep,
    sweep_on,
)
from crossed import Row, make_crossings, make_sent

NO_ENDS = np.array([], dtype=np.uint64)


def find_ttls(
    wanted: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
) -> list[list[int]]:
    """The TTLs of each prefix that get a flow."""
    return [np.flatnonzero(row).tolist() for row in wanted]


def make_path(prefix: int, first: int, last: int) -> list[Row]:
    """Interfaces of one's own from one TTL to another, and silence behind them."""
    ends = {ttl: 1000 * (prefix + 1) + ttl for ttl in range(first, last + 1)}
    return [(prefix, ttl, end, ends.get(ttl + 1, 0), 1) for ttl, end in ends.items()]


def test_pilots_are_one_in_sixteen_at_all_ttls() -> None:
    """One flow of each at its first TTLs, as far as the agent's allow."""
    targets = pa.table(
        {
            "prefix_index": [0, 1, 15, 16, 32],
            "min_ttl": [1, 1, 1, 4, 40],
            "max_ttl": [255, 255, 255, 9, 255],
            "flow_count": [6] * 5,
        }
    )
    asked = [tuple(row.values()) for row in ask_pilots(targets, (2, 255)).to_pylist()]
    assert asked == [
        (0, 2, FIRST_TTLS + 1, 0, 1),
        (16, 4, 9, 0, 1),
        (32, 40, FIRST_TTLS + 39, 0, 1),
    ]


def test_a_sweep_begins_where_flows_still_meet_new_links() -> None:
    """Links that one flow crossed promise further ones."""
    sent = make_sent([(prefix, 1, 9, 1) for prefix in range(4)])
    shared = [(prefix, ttl, ttl, ttl + 1, 1) for prefix in range(4) for ttl in (1, 2)]
    own = [(prefix, 3, 3, 100 + prefix, 1) for prefix in range(4)]
    crossings = make_crossings(shared + own, sent)
    assert find_first_ttl([crossings]) == 3
    halves = [make_crossings(each, sent) for each in (shared[:4], shared[4:] + own)]
    assert find_first_ttl(halves) == 3
    assert find_first_ttl([make_crossings(shared, sent)]) == 2
    assert find_first_ttl([make_crossings([], sent)]) == 1


def test_others_are_probed_up_to_behind_the_end_of_their_pilot() -> None:
    """Pilots are not probed again."""
    sent = make_sent([(0, 1, 32, 1), (16, 1, 32, 1)], prefixes=20)
    crossings = make_crossings(make_path(0, 1, 9) + make_path(16, 1, 12), sent)
    asked = find_ttls(sweep(sent, find_last_ttls(crossings), 7))
    assert asked[0] == asked[16] == []
    assert asked[1] == asked[15] == [*range(7, 9 + WINDOW_STARS + 1)]
    assert asked[17] == [*range(7, 12 + WINDOW_STARS + 1)]


def test_a_silent_pilot_tells_nothing() -> None:
    """Others are probed a few TTLs from the first."""
    sent = make_sent([(0, 1, 32, 1)], prefixes=2)
    ends = find_last_ttls(make_crossings([], sent))
    assert find_ttls(sweep(sent, ends, 4)) == [[], [*range(4, 4 + WINDOW_STARS + 1)]]


def test_a_path_with_replies_near_its_last_ttl_goes_on() -> None:
    """One that ended earlier does not."""
    sent = make_sent([(0, 5, 12, 1), (1, 5, 12, 1)])
    crossings = make_crossings(make_path(0, 5, 10) + make_path(1, 5, 9), sent)
    ends = np.unique(crossings.near)
    asked = find_ttls(sweep_on(sent, crossings, ends))
    assert asked == [[*range(13, 13 + AHEAD_TTLS)], [], [], []]


def test_a_path_goes_back_to_an_interface_to_which_a_link_is_known() -> None:
    """Two TTLs at once, and not below the first TTL."""
    sent = make_sent([(0, 5, 20, 1), (1, 5, 20, 1), (2, 1, 20, 1)])
    paths = make_path(0, 5, 9) + make_path(1, 5, 9) + make_path(2, 1, 9)
    crossings = make_crossings(paths, sent)
    known = np.array([2005], dtype=np.uint64)
    asked = find_ttls(sweep_on(sent, crossings, known))
    assert asked == [[*range(5 - BACK_TTLS, 5)], [], [], []]
    assert find_ttls(sweep_on(sent, crossings, NO_ENDS))[1] == asked[0]


def test_who_begins_behind_a_silent_pilot_is_probed_from_its_own_first_ttl() -> None:
    """However far away that is."""
    sent = make_sent([(0, 40, 71, 1)], prefixes=2, bounds=(40, 255))
    ends = find_last_ttls(make_crossings([], sent))
    assert find_ttls(sweep(sent, ends, 1)) == [[], [*range(40, 40 + WINDOW_STARS + 1)]]
