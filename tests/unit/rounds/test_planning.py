"""What a step asks of each prefix."""

from __future__ import annotations

from collections import defaultdict
from math import ceil, log

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.planning import (
    ask_flows,
    ask_last_ttl,
    ask_ttls,
    ask_window,
)
from anabranch.rounds.steps import FIRST, Step

Rows = list[tuple[int, ...]]


def prefixes(*rows: tuple[int, int, int, int]) -> pa.Table:
    """Of rows: prefix_index, min_ttl, max_ttl and flow_count."""
    names = ("prefix_index", "min_ttl", "max_ttl", "flow_count")
    columns = zip(*rows, strict=True) if rows else [()] * 4
    return pa.table({n: list(c) for n, c in zip(names, columns, strict=True)})


def read(table: pa.Table) -> Rows:
    """The rows of a table."""
    return [tuple(row.values()) for row in table.to_pylist()]


def test_the_first_window_is_for_all_who_begin_in_it() -> None:
    """Those that begin later wait for theirs."""
    targets = prefixes((0, 1, 32, 6), (1, 8, 9, 2), (2, 11, 32, 6))
    demands = ask_window(targets, prefixes(), FIRST, (1, 255))
    assert read(demands) == [(0, 1, 10, 0, 6), (1, 8, 9, 0, 2)]


def test_a_later_window_is_for_paths_that_go_on_or_begin() -> None:
    """As far as their TTLs go."""
    targets = prefixes((0, 1, 15, 6), (1, 1, 32, 2), (2, 12, 32, 6), (3, 1, 32, 6))
    going_on = prefixes((0, 0, 0, 0), (3, 0, 0, 0))
    demands = ask_window(targets, going_on, Step(1, 1), (1, 255))
    assert read(demands) == [(0, 11, 15, 0, 6), (2, 12, 20, 0, 6), (3, 11, 20, 0, 6)]


def test_what_begins_at_a_windows_end_is_asked_for_in_the_next_one_too() -> None:
    """All that it has in the first may be silent, as up to three TTLs may be."""
    targets = prefixes((0, 7, 32, 6), (1, 8, 32, 6), (2, 10, 32, 6))
    demands = ask_window(targets, prefixes(), Step(1, 1), (1, 255))
    assert read(demands) == [(1, 11, 20, 0, 6), (2, 11, 20, 0, 6)]
    assert len(read(ask_window(targets, prefixes(), Step(1, 1), (8, 255)))) == 3


def test_an_agents_lowest_ttl_is_where_its_paths_begin() -> None:
    """In whichever window that is."""
    targets = prefixes((0, 1, 32, 6))
    assert read(ask_window(targets, prefixes(), FIRST, (12, 30))) == []
    late = ask_window(targets, prefixes(), Step(1, 1), (12, 18))
    assert read(late) == [(0, 12, 18, 0, 6)]


def test_yarrp_asks_for_all_ttls_and_ping_for_the_last() -> None:
    """Within the agent's bounds."""
    targets = prefixes((0, 1, 32, 6), (1, 20, 25, 1))
    assert read(ask_ttls(targets, 3, 18)) == [(0, 3, 18, 0, 6)]
    assert read(ask_last_ttl(targets, 30)) == [(0, 30, 30, 0, 6), (1, 25, 25, 0, 1)]
    often = ask_last_ttl(targets, 30, flows=9)
    assert read(often) == [(0, 30, 30, 0, 9), (1, 25, 25, 0, 9)]


def plan_slowly(counts: Rows, epsilon: float) -> dict[tuple[int, int], tuple[int, int]]:
    """The same rule, a prefix and a TTL at a time."""
    known: dict[int, dict[int, tuple[int, int, int]]] = defaultdict(dict)
    for index, ttl, initial, links, earlier in counts:
        known[index][ttl] = (initial, links, earlier)

    def flows(k: int, share: float) -> int:
        return ceil(log(share / (k + 1)) / log(k / (k + 1))) if k else 0

    planned = {}
    for index, hops in known.items():
        totals = []
        for which in (1, 2):
            most = max(1, *(hop[which] for hop in hops.values()), 0)
            share = 1 - (1 - epsilon) ** (1 / most)
            needed = {ttl: flows(hop[which], share) for ttl, hop in hops.items()}
            ttls = range(min(hops), max(hops) + 2)
            totals.append(
                {t: max(needed.get(t, 0), needed.get(t - 1, 0)) for t in ttls}
            )
        (initial,) = {hop[0] for hop in hops.values()}
        for ttl, total in totals[0].items():
            sent = max(initial, totals[1][ttl])
            if total > sent:
                planned[index, ttl] = (sent, total - sent)
    return planned


@st.composite
def link_counts(draw: st.DrawFn) -> Rows:
    """Some prefixes with links at some TTLs, in order."""
    rows = []
    for index in draw(st.sets(st.integers(0, 50), max_size=6)):
        initial = draw(st.integers(1, 12))
        for ttl in sorted(draw(st.sets(st.integers(1, 254), min_size=1, max_size=8))):
            links = draw(st.integers(1, 40))
            rows.append((index, ttl, initial, links, draw(st.integers(0, links))))
    return sorted(rows)


@given(link_counts(), st.sampled_from([0.5, 0.05, 0.001]))
def test_a_round_asks_for_the_flows_that_are_missing(
    counts: Rows, epsilon: float
) -> None:
    """At each TTL, as a slow version of the rule says."""
    names = ("prefix_index", "ttl", "flow_count", "links", "earlier_links")
    columns = zip(*counts, strict=True) if counts else [()] * 5
    table = pa.table({n: list(c) for n, c in zip(names, columns, strict=True)})
    asked = {
        (index, ttl): (first, count)
        for index, low, high, first, count in read(ask_flows(table, epsilon))
        for ttl in range(low, high + 1)
    }
    assert asked == plan_slowly(counts, epsilon)


def test_neighbouring_ttls_that_ask_for_the_same_share_a_row() -> None:
    """Plans of millions of prefixes are shorter so."""
    rows = {"prefix_index": [7] * 3, "ttl": [4, 5, 6], "flow_count": [6] * 3}
    counts = pa.table(rows | {"links": [3, 3, 3], "earlier_links": [1, 1, 1]})
    assert read(ask_flows(counts, 0.05)) == [(7, 4, 7, 6, 13)]
