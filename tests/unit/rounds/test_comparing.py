"""Which addresses are compared."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.comparing import PIECE, choose_windows, pair_sources

RATES = st.lists(st.floats(0.1, 20_000), max_size=3 * PIECE)


@given(RATES)
def test_addresses_of_one_rate_meet(rates: list[float]) -> None:
    """Also if the probes themselves have raised one of them by some a second."""
    windows = [set(window) for window in choose_windows(dict(enumerate(rates)))]
    ranked = sorted(range(len(rates)), key=lambda number: rates[number])
    for one, other in pairwise(ranked):
        slow, fast = rates[one], rates[other]
        if fast <= slow * 1.25 or fast <= slow + 10:
            assert any({one, other} <= window for window in windows)


@given(RATES)
def test_windows_are_told_apart_by_their_first_address(rates: list[float]) -> None:
    """Each has two addresses at least, each of them once, and no more than fit."""
    windows = list(choose_windows(dict(enumerate(rates))))
    firsts = [window[0] for window in windows]
    assert len(set(firsts)) == len(firsts)
    for window in windows:
        assert 1 < len(set(window)) == len(window) <= 2 * PIECE


def test_addresses_of_other_rates_are_not_compared() -> None:
    """If there are too many for one list."""
    rates = {number: 10.0 * 4 ** (number // PIECE) for number in range(3 * PIECE)}
    windows = list(choose_windows(rates))
    assert [sorted(window) for window in windows] == [
        list(range(start, start + PIECE)) for start in range(0, 3 * PIECE, PIECE)
    ]


def test_addresses_of_one_source_are_paired() -> None:
    """Whether the source is among them or not."""
    one, two, three, four, five, away = (bytes([n]) * 16 for n in range(6))
    sources = {one: None, two: one, three: away, four: away, five: None}
    pairs = set(map(frozenset, pair_sources(sources)))
    assert pairs == {frozenset((one, two)), frozenset((three, four))}
    chain = dict.fromkeys((one, two, three), away)
    joined = {each for pair in pair_sources(chain) for each in pair}
    assert joined == set(chain)
    assert len(list(pair_sources(chain))) < len(list(combinations(chain, 2)))
