"""Which cycle of a Survey is due, what it replaces, and which history goes; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING

from anabranch.runs.cycles import CycleEnd, CycleRecord, Past

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from anabranch.api import Measurement, Survey
    from anabranch.api.schedule import Schedule

LATEST_ENDS = 10
"""How many of the latest ends decisions look at."""
_FIRST_WAIT = timedelta(seconds=10)
_LAST_WAIT = timedelta(minutes=6)
"""The waits after cycles that failed, as Kubernetes has them for the pods of Jobs."""
_MAX_MESSAGE = 1024
REPLACED = "Replaced"


@dataclass(frozen=True)
class CycleView:
    """A cycle that has not ended, or whose Measurement is there."""

    record: CycleRecord
    end: CycleEnd | None = None
    measurement: Measurement | None = None
    is_noted: bool = True
    """Whether the store knows that the Measurement was made for the cycle."""
    has_results: bool = False
    """Whether the store has results, though there is no Measurement any more."""

    @property
    def number(self) -> int:
        """The number of the cycle."""
        return self.record.number

    @property
    def is_active(self) -> bool:
        """Whether it has not ended, or its Measurement runs again."""
        found = self.measurement
        return self.end is None or (found is not None and not found.is_finished)

    @property
    def is_replaced(self) -> bool:
        """Whether another cycle has taken its place."""
        return self.end is not None and self.end.reason == REPLACED


@dataclass(frozen=True)
class SurveyView:
    """Everything that a decision about a Survey depends on."""

    survey: Survey
    now: datetime
    schedule: Schedule | None
    """When cycles start; None if the next one starts when the last one ends."""
    newest: CycleRecord | None
    """The record of the latest cycle."""
    past: Past
    cycles: Mapping[int, CycleView]
    """The cycles that have not ended, or whose Measurements are there, by number."""
    ends: Sequence[CycleEnd]
    """The ends of the latest cycles that have ended, newest first."""
    removable: Sequence[int] = ()
    """The cycles whose objects need not be kept any longer, oldest first."""

    @property
    def active(self) -> list[CycleView]:
        """The active cycles, in order."""
        numbers = sorted(self.cycles)
        return [self.cycles[n] for n in numbers if self.cycles[n].is_active]


@dataclass(frozen=True)
class Due:
    """Which cycle is due, and when to look again."""

    scheduled: datetime | None = None
    """The time for which a cycle is due."""
    missed: datetime | None = None
    """The latest time for which it is too late."""
    next: datetime | None = None
    """When the next cycle is scheduled."""
    waits: bool = False
    """Whether the due cycle has to wait for another one."""


@dataclass(frozen=True)
class Begin:
    """An action that begins a cycle."""

    record: CycleRecord


@dataclass(frozen=True)
class Conclude:
    """An action that ends a cycle."""

    end: CycleEnd


@dataclass(frozen=True)
class Note:
    """An action that notes which Measurement was made for a cycle."""

    number: int
    uid: str


@dataclass(frozen=True)
class CreateMeasurement:
    """An action that makes the Measurement of a cycle."""

    number: int


@dataclass(frozen=True)
class DeleteMeasurement:
    """An action that removes a Measurement."""

    name: str
    uid: str


CycleAction = Begin | Conclude | Note | CreateMeasurement | DeleteMeasurement


def find_due(seen: SurveyView) -> Due:
    """Return which cycle is due now."""
    if seen.survey.spec.suspend:
        return Due()
    if seen.schedule is None:
        return _find_next(seen)
    spec, now, past = seen.survey.spec, seen.now, seen.past
    created = seen.survey.metadata.creation_timestamp
    following = seen.schedule.find_next(now)
    while following in past.ahead:
        following = seen.schedule.find_next(following)
    latest = seen.schedule.find_latest(now)
    if (
        latest is None
        or (created is not None and latest <= created)
        or (past.settled is not None and latest <= past.settled)
        or latest in past.ahead
    ):
        return Due(next=following)
    deadline = spec.starting_deadline_seconds
    if deadline is not None and now - latest > timedelta(seconds=deadline):
        return Due(missed=latest, next=following)
    waits = spec.concurrency_policy == "Forbid" and bool(seen.active)
    return Due(scheduled=latest, next=following, waits=waits)


def _find_next(seen: SurveyView) -> Due:
    """Return when the next cycle of a continuous survey is due."""
    if seen.active:
        return Due()
    failed = len(list(takewhile(lambda end: not end.succeeded, seen.ends)))
    if failed:
        wait = min(_FIRST_WAIT * 2 ** (failed - 1), _LAST_WAIT)
        ended = seen.ends[0].ended
        # A clock that was ahead must not make it wait for longer.
        if ended <= seen.now < ended + wait:
            return Due(next=ended + wait)
    return Due(scheduled=seen.now)


def act(seen: SurveyView, due: Due) -> Iterator[CycleAction]:
    """Yield what is to be done, in order."""
    yield from _conclude(seen)
    for cycle in seen.cycles.values():
        found = cycle.measurement
        if found and not cycle.is_noted:
            yield Note(cycle.number, found.metadata.uid)
        if found and cycle.is_replaced:
            yield DeleteMeasurement(found.metadata.name, found.metadata.uid)
    yield from _create(seen)
    yield from _clear(seen)
    if due.scheduled is not None and not due.waits:
        yield Begin(_make_record(seen, due.scheduled))


def _make_record(seen: SurveyView, scheduled: datetime) -> CycleRecord:
    number = seen.newest.number + 1 if seen.newest else 1
    return CycleRecord(
        number=number,
        scheduled=scheduled,
        measurement=seen.survey.name_cycle(number),
        ahead=tuple(sorted(each for each in seen.past.ahead if each > scheduled)),
    )


def _conclude(seen: SurveyView) -> Iterator[Conclude]:
    """End the cycles whose Measurements have ended, and those that are replaced."""
    newest = seen.cycles.get(seen.newest.number) if seen.newest else None
    policy = seen.survey.spec.concurrency_policy
    replaces = policy == "Replace" and newest is not None and newest.end is None
    for cycle in seen.cycles.values():
        if cycle.end is not None:
            continue
        found, number = cycle.measurement, cycle.number
        if found is not None and found.is_finished:
            yield Conclude(describe_end(number, found))
        elif found is None and cycle.has_results:
            message = "its Measurement was deleted after the results were gathered"
            end = CycleEnd(
                number=number,
                ended=seen.now,
                succeeded=True,
                reason="Deleted",
                message=message,
            )
            yield Conclude(end)
        elif replaces and newest and number < newest.number:
            end = CycleEnd(
                number=number,
                started=found.status.start_time if found else None,
                ended=seen.now,
                succeeded=False,
                reason=REPLACED,
                message=f"cycle {newest.number} replaced it",
            )
            yield Conclude(end)


def describe_end(number: int, measurement: Measurement) -> CycleEnd:
    """Return the end of a cycle whose Measurement is finished."""
    status = measurement.status
    conditions = {each.type: each for each in status.conditions}
    complete = conditions.get("Complete")
    succeeded = complete is not None and complete.status == "True"
    told = complete if succeeded else conditions.get("Failed", complete)
    if status.completion_time is None:
        raise ValueError(f"{measurement.metadata.name} is not finished")
    return CycleEnd(
        number=number,
        started=status.start_time,
        ended=status.completion_time,
        succeeded=succeeded,
        reason=told.reason if told else "Unknown",
        message=told.message[:_MAX_MESSAGE] if told else "",
    )


def _create(seen: SurveyView) -> Iterator[CreateMeasurement]:
    """Make the Measurements that are missing, once those that are replaced are gone."""
    ends = {action.end.number: action.end for action in _conclude(seen)}
    for number, cycle in seen.cycles.items():
        end = ends.get(number, cycle.end)
        if cycle.measurement and end and end.reason == REPLACED:
            return
    for number, cycle in sorted(seen.cycles.items()):
        is_open = cycle.end is None and number not in ends
        if is_open and cycle.measurement is None:
            yield CreateMeasurement(number)


def _clear(seen: SurveyView) -> Iterator[DeleteMeasurement]:
    """Remove the Measurements that history or retention does not keep."""
    spec = seen.survey.spec
    left = {
        True: spec.successful_history_limit,
        False: spec.failed_history_limit,
    }
    removable = set(seen.removable)
    for number, cycle in sorted(seen.cycles.items(), reverse=True):
        end, found = cycle.end, cycle.measurement
        if end is None or found is None or cycle.is_active or cycle.is_replaced:
            continue
        left[end.succeeded] -= 1
        if left[end.succeeded] < 0 or number in removable:
            yield DeleteMeasurement(found.metadata.name, found.metadata.uid)


def find_free(seen: SurveyView) -> list[int]:
    """Return the removable cycles that have no Measurement any more."""
    return [number for number in seen.removable if number not in seen.cycles]


def expect_end(started: datetime, ends: Iterable[CycleEnd]) -> datetime | None:
    """Return when a cycle should end, if it takes as long as those before it."""
    taken = [
        (end.ended - end.started).total_seconds()
        for end in ends
        if end.succeeded and end.started is not None and end.ended > end.started
    ]
    if not taken:
        return None
    return started + timedelta(seconds=round(median(taken)))
