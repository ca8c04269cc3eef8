"""Cycles in fast motion: none is lost, none is doubled, whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.api.schedule import Schedule, ScheduleError
from anabranch.reconcile.cycles import act, expect_end, find_due
from anabranch.runs.cycles import CycleEnd
from cycleworld import CREATED, World, make_survey

HOURLY = {"schedule": "@hourly", "concurrencyPolicy": "Forbid"}
CONTINUOUS: dict[str, Any] = {"schedule": None, "continuous": True}

MANY = pytest.mark.parametrize(
    "count", [300, pytest.param(10_000, marks=pytest.mark.statistics)]
)
"""In either case operators crash about as often."""


def check_numbers(world: World) -> None:
    """Numbers follow one another, and no time has two cycles."""
    records = world.records
    assert [each.number for each in records] == list(range(1, len(records) + 1))
    times = [each.scheduled for each in records]
    assert len(set(times)) == len(times)


def check_runs(world: World) -> None:
    """Each cycle ran to its end once, as far as it is not under way."""
    done = [number for number, _ in world.runs]
    assert len(set(done)) == len(done)
    assert set(done) >= world.read().kept


@MANY
def test_each_hour_has_its_cycle(count: int) -> None:
    """And each cycle ran once, though operators crash."""
    world = World(make_survey(**HOURLY), seed=1, crashes=100 / count, fails=0.1)
    world.go_on(count)
    check_numbers(world)
    check_runs(world)
    times = [each.scheduled for each in world.records]
    hours = {b - a for a, b in pairwise(times)}
    assert hours == {timedelta(hours=1)}
    assert world.most == 1
    assert len(world.measurements) <= 3 + 1 + 2


@MANY
def test_cycles_follow_without_a_pause(count: int) -> None:
    """A continuous survey never runs two cycles at once, and never stops."""
    world = World(make_survey(**CONTINUOUS), seed=2, crashes=100 / count, fails=0.2)
    world.go_on(count)
    records = world.records
    assert [each.number for each in records] == list(range(1, len(records) + 1))
    check_runs(world)
    assert world.most == 1
    assert world.time - CREATED < timedelta(seconds=1_000 * count)


@pytest.mark.parametrize(
    ("seed", "steps"),
    [
        *((0, 60), (1, 60), (2, 60)),
        *(pytest.param(n, 300, marks=pytest.mark.statistics) for n in range(3, 9)),
    ],
)
def test_clock_steps_lose_and_double_nothing(seed: int, steps: int) -> None:
    """Each hour has exactly one cycle, once the clock is right again."""
    world = World(make_survey(**HOURLY), seed=seed, crashes=0.05)
    for _ in range(steps):
        world.go_on(world.chance.randint(1, 6))
        world.offset = timedelta(seconds=world.chance.randint(-20_000, 20_000))
        if world.chance.random() < 0.1:
            world.offset *= 100
        for _ in range(world.chance.randint(1, 4)):
            world.look()
            minutes = world.chance.randint(1, 90)
            world.pass_time(world.time + timedelta(minutes=minutes))
        world.offset = timedelta()
    check_numbers(world)
    check_runs(world)
    had = {each.scheduled for each in world.records}
    # While the clock was right, each hour that came was one of them.
    world.go_on(1)
    begin = world.time.replace(minute=0, second=0, microsecond=0)
    world.pass_time(begin + timedelta(hours=1, seconds=1))
    world.look()
    now = {each.scheduled for each in world.records}
    assert begin + timedelta(hours=1) in now
    assert had <= now


def test_a_clock_that_was_ahead_stops_nothing() -> None:
    """The cycle of the year 2040 does not keep those before it from starting."""
    world = World(make_survey(**HOURLY))
    world.go_on(3)
    world.offset = timedelta(days=14 * 365)
    world.look()
    world.pass_time(world.time + timedelta(hours=1))
    world.look()
    world.offset = timedelta()
    world.go_on(5)
    check_numbers(world)
    times = [each.scheduled for each in world.records]
    assert [each.year for each in sorted(times)].count(2039) == 2
    assert sorted(times)[-3] == world.time.replace(minute=0, second=0, microsecond=0)
    ahead = world.records[-1].ahead
    assert ahead
    assert all(each.year == 2039 for each in ahead)


def test_of_missed_cycles_the_latest_runs() -> None:
    """An operator that was away for a day starts one cycle, that of the last hour."""
    world = World(make_survey(**HOURLY))
    world.go_on(2)
    world.pass_time(world.time + timedelta(hours=24, minutes=5))
    world.look()
    latest = world.records[-1]
    assert latest.number == 3
    assert latest.scheduled == world.time.replace(minute=0, second=0, microsecond=0)


def test_a_cycle_that_is_too_late_is_missed() -> None:
    """It does not start after startingDeadlineSeconds; the next one does."""
    survey = make_survey(**HOURLY, startingDeadlineSeconds=600)
    world = World(survey)
    world.go_on(2)
    world.pass_time(world.time + timedelta(hours=3, minutes=20))
    due = world.look()
    assert due.missed is not None
    assert len(world.records) == 2
    world.go_on(1)
    assert world.records[-1].scheduled == due.missed + timedelta(hours=1)


def test_status_and_measurements_may_go() -> None:
    """A Measurement that is deleted is made again, unless its cycle has ended."""
    world = World(make_survey(**HOURLY))
    world.pass_time(CREATED + timedelta(hours=1))
    world.look()
    (name,) = world.measurements
    world.measurements.clear()
    world.look()
    assert list(world.measurements) == [name]
    world.pass_time(world.time + timedelta(minutes=30))
    world.measurements.clear()  # after its end, and before the operator knew of it
    world.ledger = None
    world.look()
    assert world.measurements == {}
    assert world.read().get_end(1).reason == "Deleted"
    check_numbers(world)


@pytest.mark.parametrize(
    "spec",
    [HOURLY, CONTINUOUS, HOURLY | {"concurrencyPolicy": "Replace"}],
    ids=["Forbid", "continuous", "Replace"],
)
@pytest.mark.parametrize(
    "looks", [700, pytest.param(5_000, marks=pytest.mark.statistics)]
)
def test_two_operators_at_once(spec: dict[str, Any], looks: int) -> None:
    """They lose and double nothing, in whichever order they act."""
    world = World(make_survey(**spec), seed=6, takes=(60, 6_000), fails=0.1)
    for _ in range(looks):
        for _ in range(world.chance.randint(1, 6)):
            world.look_together()
        minutes = world.chance.randint(1, 40)
        world.pass_time(world.time + timedelta(minutes=minutes))
    assert len(world.records) > 0.15 * looks
    if not world.survey.spec.continuous:
        check_numbers(world)
    check_unique_runs(world)


def check_unique_runs(world: World) -> None:
    """No cycle ran to its end twice."""
    done = [number for number, _ in world.runs]
    assert len(set(done)) == len(done)


def test_two_operators_begin_no_cycle_twice() -> None:
    """The second one sees what the first one has put."""
    world = World(make_survey(**HOURLY))
    world.go_on(1)
    world.look()
    stale = world.open_ledger()
    world.pass_time(world.time + timedelta(hours=1))
    before = world.observe(stale)
    actions = list(act(before, find_due(before)))
    world.ledger = None
    world.look()
    assert len(world.records) == 2
    begun = [each.record for each in actions if hasattr(each, "record")]
    assert not stale.begin(begun[0])
    check_numbers(world)


def test_a_cycle_replaces_the_one_before() -> None:
    """The old Measurement is gone before the new one is there."""
    survey = make_survey(schedule="@hourly", concurrencyPolicy="Replace")
    world = World(survey, takes=(5_000, 9_000), crashes=0.1, seed=4)
    world.go_on(200)
    world.look()
    check_numbers(world)
    assert world.most == 1
    ledger = world.read()
    reasons = {ledger.get_end(number).reason for number in ledger.kept}
    assert reasons == {"Replaced"}
    assert len(world.measurements) == 1


def test_cycles_overlap_if_allowed() -> None:
    """Each starts in time, though those before it run."""
    survey = make_survey(schedule="@hourly", concurrencyPolicy="Allow")
    world = World(survey, takes=(8_000, 9_000), crashes=0.1, seed=5)
    world.go_on(100)
    check_numbers(world)
    check_runs(world)
    assert world.most == 3


def test_a_cycle_waits_for_the_one_before() -> None:
    """By Forbid, a cycle that is due starts late, and only the latest of several."""
    world = World(make_survey(**HOURLY), takes=(10_000, 10_000))
    world.go_on(4)
    check_numbers(world)
    assert world.most == 1
    times = [each.scheduled for each in world.records]
    gaps = {b - a for a, b in pairwise(times)}
    assert gaps == {timedelta(hours=2), timedelta(hours=3)}


def test_a_suspended_survey_starts_nothing_and_ends_what_runs() -> None:
    """The cycle that runs goes on; the latest missed one starts afterwards."""
    world = World(make_survey(**HOURLY))
    world.go_on(2)
    world.look()
    world.survey = make_survey(**HOURLY, suspend=True)
    world.pass_time(world.time + timedelta(hours=5))
    due = world.look()
    assert (due.scheduled, due.next) == (None, None)
    assert world.read().kept == {1, 2}
    world.survey = make_survey(**HOURLY)
    world.look()
    assert len(world.records) == 3


def test_history_keeps_what_it_is_told_to() -> None:
    """By outcome: the latest Measurements stay, what the store has stays anyway."""
    limits = {"successfulHistoryLimit": 2, "failedHistoryLimit": 0}
    world = World(make_survey(**HOURLY, **limits), fails=0.5, seed=3)
    world.go_on(40)
    world.look()
    ended = [each for each in world.measurements.values() if each.is_finished]
    assert len(ended) <= 2
    assert all(each.status.conditions[0].type == "Complete" for each in ended)
    assert len(world.read().kept) >= 39


def test_continuous_cycles_that_fail_come_ever_more_slowly() -> None:
    """As Kubernetes' Jobs do; one that succeeds ends the wait."""
    world = World(make_survey(**CONTINUOUS), fails=1.0, takes=(1, 1))
    world.go_on(20)
    times = [each.scheduled for each in world.records]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert gaps == sorted(gaps)
    assert 10 <= gaps[0] <= 15
    assert 360 <= gaps[-1] <= 365


def test_the_end_is_expected_from_those_before() -> None:
    """From the median of what succeeded; without any, nothing is expected."""
    ends = [
        CycleEnd(
            number=number,
            started=CREATED,
            ended=CREATED + timedelta(seconds=taken),
            succeeded=taken != 5,
            reason="Completed",
            message="",
        )
        for number, taken in enumerate((100, 5, 300, 200), 1)
    ]
    assert expect_end(CREATED, ends) == CREATED + timedelta(seconds=200)
    assert expect_end(CREATED, ends[1:2]) is None


FIELDS = st.sampled_from(
    [
        "30 2 * * *",
        "*/15 * * * *",
        "15 1-3 * * *",
        "0 0 31 * *",
        "5/20 2 * * MON",
        "@weekly",
        "30 2 29 3 *",
        "0 12 13 * FRI",
    ]
)
ZONES = st.sampled_from(
    [None, "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
)


@settings(deadline=None, max_examples=300)
@given(FIELDS, ZONES, st.integers(0, 366 * 86_400))
def test_the_latest_time_is_the_one_before_the_next(
    fields: str, zone: str | None, second: int
) -> None:
    """Looking back finds what looking ahead had promised, where clocks are put, too."""
    schedule = Schedule.read(fields, zone)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    latest, following = schedule.find_latest(now), schedule.find_next(now)
    assert latest is not None
    assert following is not None
    assert latest <= now < following
    assert schedule.find_next(latest) == following
    assert schedule.find_latest(following) == following
    assert schedule.find_latest(following - timedelta(seconds=1)) == latest


@pytest.mark.parametrize(
    ("fields", "zone", "message"),
    [
        ("5-3 * * * *", None, "has a bad minute"),
        ("0 0 30 2 *", None, "has a bad day-of-month"),
        ("@daily", "Europe/Pariss", "there is no time zone 'Europe/Pariss'"),
        ("@daily", "Local", "there is no time zone 'Local'"),
    ],
)
def test_what_a_pattern_can_not_say_is_refused(
    fields: str, zone: str | None, message: str
) -> None:
    """With the remedy, before any cycle starts."""
    with pytest.raises(ScheduleError, match=message):
        Schedule.read(fields, zone)
