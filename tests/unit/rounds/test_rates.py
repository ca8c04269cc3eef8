"""How Rounds share a rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.rates import Pace, share_rate

RATES = st.integers(min_value=0, max_value=2_000_000)
WANTED = st.dictionaries(st.text(max_size=3), RATES, max_size=20)


@given(RATES, WANTED)
def test_no_rate_is_exceeded_and_none_is_lost(
    total: int, wanted: dict[str, int]
) -> None:
    """Neither the total nor what someone wants; and as much as can be is given."""
    shares = share_rate(total, wanted)
    assert shares.keys() == wanted.keys()
    assert all(0 <= shares[name] <= wanted[name] for name in wanted)
    assert sum(shares.values()) == min(total, sum(wanted.values()))


@given(RATES, WANTED)
def test_who_has_less_than_it_wants_has_as_much_as_any_other(
    total: int, wanted: dict[str, int]
) -> None:
    """But for one probe a second, where a rate does not divide."""
    shares = share_rate(total, wanted)
    for name, share in shares.items():
        if share < wanted[name]:
            assert share >= max(shares.values()) - 1


@given(RATES, WANTED)
def test_the_order_of_rounds_does_not_matter(
    total: int, wanted: dict[str, int]
) -> None:
    """So shares stay where they are."""
    backwards = dict(reversed(wanted.items()))
    assert share_rate(total, wanted) == share_rate(total, backwards)


def test_who_wants_little_has_it() -> None:
    """And the others share the rest."""
    shares = share_rate(1000, {"a": 100, "b": 5000, "c": 700})
    assert shares == {"a": 100, "b": 450, "c": 450}


def test_who_is_ending_leaves_its_share_to_who_begins() -> None:
    """But for an eighth more than it sends; it has all of it where nobody begins."""
    wanted = {"a": 1000, "b": 1000}
    assert share_rate(1000, wanted, {"a": 80}) == {"a": 91, "b": 909}
    assert share_rate(1000, wanted, {"a": 0}) == {"a": 1, "b": 999}
    assert share_rate(1000, wanted, {"a": 900}) == {"a": 500, "b": 500}
    assert share_rate(1000, wanted, {"a": 0, "b": 0}) == {"a": 500, "b": 500}
    assert share_rate(1000, {"a": 1000}, {"a": 0}) == {"a": 1000}


def test_a_pace_is_what_was_sent_between_the_last_two_looks() -> None:
    """However far apart they are."""
    pace = Pace()
    pace.note(500, 10.0)
    assert pace.rate == 0
    pace.note(600, 10.5)
    assert pace.rate == 200
    pace.note(600, 10.5)
    pace.note(630, 13.5)
    assert pace.rate == 10
