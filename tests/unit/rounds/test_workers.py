"""How workers share units of work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.workers import ALONE, Worker, count_workers


@given(
    units=st.integers(0, 30), of=st.integers(1, 6), turns=st.lists(st.integers(0, 5))
)
def test_each_worker_ends_when_all_is_done(
    units: int, of: int, turns: list[int]
) -> None:
    """Whoever is fast, slow or lost, and whenever; no unit waits for anybody."""
    done: set[int] = set()
    takers = [Worker(n, of).take(range(units), done.__contains__) for n in range(of)]
    held: dict[int, int] = {}
    for turn in (*turns, *range(of)):
        if turn not in range(of):
            continue
        if turn in held:
            done.add(held.pop(turn))
        unit = next(takers[turn], None)
        if unit is None:
            assert len(done) == units
        else:
            held[turn] = unit
    for unit in takers[0]:
        done.add(unit)
    assert len(done | set(held.values())) == units


def test_workers_begin_at_different_places() -> None:
    """So that they meet only when little is left."""
    firsts = {next(Worker(n, 4).take(range(9), set().__contains__)) for n in range(4)}
    assert firsts == {0, 2, 4, 6}
    assert list(ALONE.take("abc", "b".__eq__)) == ["a", "c"]


@pytest.mark.parametrize(
    ("replies", "workers"),
    [(0, 1), (1 << 23, 1), ((1 << 23) + 1, 2), (1 << 40, 4)],
)
def test_workers_are_as_many_as_replies_are_worth(replies: int, workers: int) -> None:
    """One for each 8 million, from 1 to what is allowed."""
    assert count_workers(replies, most=4) == workers
