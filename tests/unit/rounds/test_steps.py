"""The steps of a run."""

from __future__ import annotations

import pytest

from anabranch.rounds.steps import FIRST, Step, next_rounds


def test_windows_of_the_first_round_come_before_the_second() -> None:
    """Ten TTLs each, to the highest that there is."""
    following = next_rounds(FIRST, 10)
    assert following[:2] == [Step(1, 1), Step(1, 2)]
    assert following[-2:] == [Step(1, 25), Step(2)]
    bounds = [(step.first_window_ttl, step.last_window_ttl) for step in following]
    assert bounds[0] == (11, 20)
    assert bounds[-2] == (251, 260)


def test_later_rounds_have_no_windows_and_end() -> None:
    """After as many as there may be."""
    assert next_rounds(Step(2), 3) == [Step(3)]
    assert next_rounds(Step(3), 3) == []
    assert next_rounds(Step(1, 25), 1) == []


def test_steps_sort_by_their_names() -> None:
    """And are read back from them."""
    steps = [Step(1), Step(1, 2), Step(1, 11), Step(2), Step(10), Step(200)]
    names = [str(step) for step in steps]
    assert names == sorted(names)
    assert [Step.parse(name) for name in names] == steps


@pytest.mark.parametrize("text", ["abc", "1", "1-", "-1", "1-2-3", "001-0x", ""])
def test_what_is_no_step_is_refused_with_the_form_of_one(text: str) -> None:
    """And what is one is read as it was written."""
    assert Step.parse(str(Step(2, 3))) == Step(2, 3)
    with pytest.raises(ValueError, match="is no step; write one such as 001-00"):
        Step.parse(text)
