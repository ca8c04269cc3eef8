"""Arrays of hashes against what Python says of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.hashes import add_up, are_among, find_places, take_once

HASHES = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9))


def array(hashes: list[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """An array of these, which may be empty."""
    return np.array(hashes, dtype=np.uint64)


@given(HASHES, HASHES)
def test_places_are_those_of_a_list(hashes: list[int], wanted: list[int]) -> None:
    """What is wanted is at its place, or at none."""
    distinct = list(dict.fromkeys(hashes))
    places = find_places(array(distinct), array(wanted)).tolist()
    assert places == [distinct.index(w) if w in distinct else -1 for w in wanted]
    among = are_among(array(hashes), array(wanted)).tolist()
    assert among == [each in hashes for each in wanted]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**40))))
def test_numbers_are_added_up_by_hash(rows: list[tuple[int, int]]) -> None:
    """Each hash is there once, in order, with the sum of its numbers."""
    sums = Counter[int]()
    for each, number in rows:
        sums[each] += number
    hashes = array([each for each, _ in rows])
    numbers = np.array([number for _, number in rows], dtype=np.int64)
    once, added = add_up(hashes, numbers)
    assert once.tolist() == sorted({each for each, _ in rows})
    assert added.tolist() == [sums[each] for each in once.tolist()]
    assert take_once(hashes).tolist() == once.tolist()
