"""How a team shares the blocks of a plan."""

from __future__ import annotations

import heapq
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from anabranch.rounds.division import (
    Division,
    HandOut,
    count_at_once,
    count_blocks,
    find_keepers,
    find_owners,
)

RATES = st.dictionaries(
    st.sampled_from("abcdefgh"), st.integers(10, 1000), min_size=1, max_size=8
)


@settings(max_examples=30, deadline=None)
@given(RATES, st.integers(1, 1000), st.randoms(use_true_random=False))
def test_each_block_is_handed_out_once(
    rates: dict[str, int], blocks: int, chance: object
) -> None:
    """Whoever asks next, as long as no agent is lost."""
    given_: list[HandOut] = []
    names = sorted(rates)
    while len(find_owners(given_)) < blocks:
        name = names[hash((str(chance), len(given_))) % len(names)]
        got = Division(blocks, given_).choose(name, rates)
        if not got:
            got = Division(blocks, given_).choose(
                max(rates, key=rates.__getitem__), rates
            )
        assert got
        given_.append(HandOut(name, got))
    counts = Counter(block for each in given_ for block in each.blocks)
    assert set(counts.values()) == {1}
    assert Division(blocks, given_).choose(names[0], rates) == ()


@settings(max_examples=30, deadline=None)
@example({"a": 55, "b": 55, "c": 56, "d": 70, "e": 71})
@example({"a": 194, "b": 215, "c": 197, "d": 215, "e": 195, "f": 197, "g": 302})
@given(RATES)
def test_agents_end_at_about_the_same_time(rates: dict[str, int]) -> None:
    """Within 1.2 of the time that their rates allow together."""
    blocks = count_blocks(rates.values(), 1_000_000, goes_on=False)
    given_: list[HandOut] = []
    due = [(0.0, name) for name in sorted(rates)]
    end = 0.0
    while due:
        now, name = heapq.heappop(due)
        got = Division(blocks, given_).choose(name, rates)
        end = max(end, now)
        if got:
            given_.append(HandOut(name, got))
            heapq.heappush(due, (now + len(got) / rates[name], name))
    assert end <= 1.2 * blocks / sum(rates.values())


def test_what_a_lost_agent_left_goes_to_others() -> None:
    """Once, and again if the next one is lost too."""
    given_ = [HandOut("a", (0, 1)), HandOut("b", (2, 3))]
    rates = {"b": 10, "c": 10}
    assert Division(4, given_).choose("c", rates) == ()
    got = Division(4, given_, returned={0}).choose("c", rates)
    given_.append(HandOut("c", got))
    assert got == (0,)
    assert Division(4, given_, returned={0}).choose("b", rates) == (1,)
    assert find_owners(given_) == {0: 2, 1: 0, 2: 1, 3: 1}
    assert Division(4, given_, returned={0, 2}).choose("b", rates) == (0,)


def test_an_agent_keeps_its_blocks_from_step_to_step() -> None:
    """Unless it is lost: then others share them."""
    keepers = find_keepers([HandOut("a", (0, 1)), HandOut("b", (2, 3, 4, 5))])
    rates = {"a": 10, "b": 10}
    assert Division(6, [], keepers=keepers).choose("b", rates) == (2, 3, 4, 5)
    given_ = [HandOut("b", (2, 3, 4, 5))]
    assert Division(6, given_, keepers=keepers).choose("b", rates) == ()
    assert Division(6, given_, keepers=keepers).choose("b", {"b": 10}) == (0,)


def test_who_has_few_probes_a_second_works_on_few_hand_outs() -> None:
    """Each must get some of them."""
    assert [count_at_once(rate) for rate in (1, 29, 50, 5000)] == [2, 2, 5, 8]
