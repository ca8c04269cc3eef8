"""What a survey is short of, and how it is told."""

from __future__ import annotations

from collections import Counter

import pytest

from anabranch.rounds.shortfall import (
    LEFT_OUT,
    Coverage,
    Reason,
    TargetCounts,
    find_coverage,
)
from anabranch.rounds.steps import FIRST, Step
from observations import make_outcome

TARGETS = TargetCounts(10, {"NotAllowed": 3, "Reserved": 1, "PartlyExcluded": 2})


def test_a_run_is_short_of_what_its_steps_add_up_to() -> None:
    """But for what each step says of all before it, or of the same prefixes."""
    second = Step(1, 1)
    outcomes = [
        make_outcome(FIRST, second, unroutable=4, dropped=5, unsent=1, amplified=1),
        make_outcome(second, None, unroutable=3, forbidden=7, dropped=6, amplified=2),
    ]
    coverage = find_coverage(TARGETS, outcomes)
    assert coverage.probed == 6
    assert coverage.left_out == 8
    assert coverage.shortfalls == Counter(
        {
            Reason.NOT_ALLOWED: 3,
            Reason.RESERVED: 1,
            Reason.NO_ROUTE: 4,
            Reason.PARTLY_EXCLUDED: 2,
            Reason.PASSED_OVER: 7,
            Reason.NOT_SENT: 1,
            Reason.DROPPED: 11,
            Reason.AMPLIFICATION: 2,
        }
    )


def test_targets_that_are_left_out_are_told_together_and_first() -> None:
    """Of how many, and each reason with its number."""
    outcome = make_outcome(FIRST, None, amplified=1, probes_left=1_200)
    assert list(find_coverage(TARGETS, [outcome]).describe()) == [
        "4 of 14 targets left out: 1 in reserved space (see allowReserved of policy "
        "and agent), 3 outside of the policy's allow list",
        "2 targets probed but for excluded addresses",
        "1 target without links, for more than one reply a probe",
        "1,200 probes of a further round, which maxRounds does not allow",
    ]


def test_a_run_that_lacks_nothing_tells_nothing() -> None:
    """There is no line to be read."""
    outcome = make_outcome(FIRST, None, amplified=0)
    assert list(find_coverage(TargetCounts(3, {}), [outcome]).describe()) == []


def test_of_how_many_is_left_open_where_nobody_counted_targets() -> None:
    """As in runs that an earlier version began; they make sums unknown too."""
    outcome = make_outcome(FIRST, None, unroutable=1, amplified=0)
    unknown = find_coverage(None, [outcome])
    assert list(unknown.describe()) == ["1 target left out: 1 without a route"]
    assert (unknown + find_coverage(TARGETS)).probed is None


def test_agents_add_up() -> None:
    """Targets and all that is short."""
    both = find_coverage(TARGETS) + Coverage(5, Counter({Reason.NOT_ALLOWED: 2}))
    assert (both.probed, both.shortfalls[Reason.NOT_ALLOWED]) == (15, 5)


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_words(reason: Reason) -> None:
    """With a number, in the plural or not."""
    for count, number in ((1, "1"), (2_000, "2,000")):
        (text,) = Coverage(0, Counter({reason: count})).describe()
        assert text.startswith(f"{number} ")
        noun = text.partition("left out")[0].split()[-1]
        if reason not in LEFT_OUT:
            noun = text.split()[1]
        assert noun.endswith("s") == (count > 1)
