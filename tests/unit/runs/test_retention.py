"""Which runs go by age and size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.runs.retention import (
    READING,
    Retention,
    choose,
    read_age,
    read_size,
)
from anabranch.runs.stock import StoredRun
from anabranch.store.keys import SurveyKeys

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
DAYS = st.integers(-2, 400).map(lambda days: NOW - timedelta(days=days))
RUNS = st.lists(
    st.builds(
        StoredRun,
        keys=st.builds(SurveyKeys, st.uuids().map(str), st.just("1")),
        size=st.integers(0, 100),
        newest=DAYS,
        ended=st.none() | DAYS,
        survey=st.none() | st.just("weekly"),
        is_going=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda run: run.keys,
)
KEPT = st.builds(
    Retention,
    st.none() | st.integers(1, 300).map(lambda days: timedelta(days=days)),
    st.none() | st.integers(1, 600),
)


def split(
    runs: list[StoredRun], kept: Retention
) -> tuple[list[StoredRun], list[StoredRun]]:
    """The runs that go, in order, and those that stay."""
    going = [removal.run for removal in choose(runs, kept, NOW)]
    return going, [run for run in runs if run not in going]


def find_free(runs: list[StoredRun]) -> list[datetime]:
    """When those ended that may go by size."""
    free = [run.ended for run in runs if run.ended and run.survey is None]
    return [ended for ended in free if NOW - ended > READING]


@given(RUNS, KEPT)
def test_what_has_to_stay_stays(runs: list[StoredRun], kept: Retention) -> None:
    """Cycles of Surveys, what has just ended, and what still puts objects."""
    for run in split(runs, kept)[0]:
        if run.is_going:
            continue
        assert run.survey is None
        assert run.ended is None or NOW - run.ended > READING
        if run.ended is None:
            assert kept.older_than is not None
            assert run.newest is not None
            assert NOW - run.newest > kept.older_than


@given(RUNS, KEPT)
def test_what_is_too_old_goes(runs: list[StoredRun], kept: Retention) -> None:
    """Each run whose end, or else whose newest object, is older than it may be."""
    for run in split(runs, kept)[1]:
        since = run.ended or run.newest
        assert since is not None
        if kept.older_than is not None and run.survey is None:
            assert NOW - since <= kept.older_than


@given(RUNS, KEPT)
def test_what_stays_fits_unless_it_has_to_stay(
    runs: list[StoredRun], kept: Retention
) -> None:
    """As long as there is a run that may go, no more is left than asked for."""
    _, left = split(runs, kept)
    if kept.keep_size is not None and sum(run.size for run in left) > kept.keep_size:
        assert not find_free(left)


@given(RUNS, st.integers(1, 600))
def test_no_more_goes_than_has_to(runs: list[StoredRun], size: int) -> None:
    """With the last run that goes by size, what stays would not fit."""
    going, left = split(runs, Retention(keep_size=size))
    chosen = [run for run in going if not run.is_going]
    if chosen:
        assert sum(run.size for run in (*left, chosen[-1])) > size


@given(RUNS, st.integers(1, 600))
def test_by_size_the_oldest_go_first(runs: list[StoredRun], size: int) -> None:
    """No run that stays ended before one that goes."""
    going, left = split(runs, Retention(keep_size=size))
    ends = [run.ended for run in going if run.ended and not run.is_going]
    assert ends == sorted(ends)
    free = find_free(left)
    assert not ends or not free or ends[-1] <= min(free)


@given(RUNS, KEPT)
def test_a_removal_that_has_begun_goes_on(
    runs: list[StoredRun], kept: Retention
) -> None:
    """Before all others, whatever is kept."""
    going, _ = split(runs, kept)
    begun = [run for run in runs if run.is_going]
    assert going[: len(begun)] == begun


@given(RUNS, KEPT)
def test_what_was_purged_stays_as_it_is(runs: list[StoredRun], kept: Retention) -> None:
    """Nothing more goes from what stays."""
    assert split(split(runs, kept)[1], kept)[0] == []


@given(RUNS)
def test_all_is_kept_by_default(runs: list[StoredRun]) -> None:
    """Only what has begun to go is finished."""
    assert all(run.is_going for run in split(runs, Retention())[0])


def test_the_reasons_are_told() -> None:
    """How old a run is, or that it takes too much."""

    def make(uid: str, days: int, *, has_ended: bool) -> StoredRun:
        then = NOW - timedelta(days=days, minutes=1)
        ended = then if has_ended else None
        return StoredRun(SurveyKeys(uid, "1"), size=8, newest=then, ended=ended)

    runs = [
        make("old", 91, has_ended=True),
        make("left", 100, has_ended=False),
        make("big", 3, has_ended=True),
        make("on", 4, has_ended=False),
        make("new", 1, has_ended=True),
    ]
    removals = list(choose(runs, Retention(timedelta(days=90), 16), NOW))
    assert [(each.run.keys.measurement, each.reason) for each in removals] == [
        ("left", "still for 100 days"),
        ("old", "ended 91 days ago"),
        ("big", "the oldest of too many bytes"),
    ]


@pytest.mark.parametrize(
    ("text", "days"), [("1d", 1), ("90d", 90), ("52w", 364), ("99999w", 699_993)]
)
def test_ages_are_days_or_weeks(text: str, days: int) -> None:
    """As whole numbers."""
    assert read_age(text) == timedelta(days=days)


@pytest.mark.parametrize(
    "text", ["", "90", "0d", "1.5d", "12h", "-1d", "90 d", "90D", "100000d", "٣d"]
)
def test_what_is_no_age_is_told(text: str) -> None:
    """With the remedy."""
    with pytest.raises(ValueError, match=r"is no age; write .* such as 90d"):
        read_age(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("20k", 20_000),
        ("1Ki", 1024),
        ("1.5Gi", 3 << 29),
        ("1Ti", 1 << 40),
        ("2T", 2 * 10**12),
        ("1.001P", 1001 * 10**12),
    ],
)
def test_sizes_are_as_kubernetes_writes_them(text: str, size: int) -> None:
    """Powers of 1000 or of 1024."""
    assert read_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "0", "0Gi", "0.5Ti", "1TB", "1K", "1e3", "-1Gi", "1 Gi", "1.Gi", "100%"],
)
def test_what_is_no_size_is_told(text: str) -> None:
    """With the remedy; nothing at all is none either."""
    with pytest.raises(ValueError, match=r"is no size; write .* such as 500Gi"):
        read_size(text)
