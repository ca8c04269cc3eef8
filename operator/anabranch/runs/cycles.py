"""The cycles of a Survey, as the store has them: each begins and ends with an object.

A cycle begins when its record is put. The number is part of the key, and no object is
put over another one, so two writers can't begin the same cycle twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from anabranch.api.model import Model
from anabranch.api.survey import FIRST_CYCLE
from anabranch.api.text import Count, DnsSubdomain, Timestamp
from anabranch.store.keys import CycleKeys, SurveyKeys, cycles_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from anabranch.store.store import Store


class CycleRecord(Model):
    """The beginning of a cycle."""

    number: Annotated[int, Field(ge=FIRST_CYCLE)]
    """The number of the cycle."""
    scheduled: Timestamp
    """The time for which it was scheduled, or when the last cycle had ended."""
    measurement: DnsSubdomain
    """The name of its Measurement."""
    ahead: tuple[Timestamp, ...] = ()
    """The later times for which cycles of lower numbers were scheduled.

    There are such cycles if the clock was ahead when they began.
    """


class CycleEnd(Model):
    """The end of a cycle."""

    number: Count
    """The number of the cycle."""
    started: Timestamp | None = None
    """When its run started; None if it never did, or if that is unknown."""
    ended: Timestamp
    """When it ended."""
    succeeded: bool
    """Whether its run was completed, at least in part."""
    reason: Annotated[str, Field(max_length=64)]
    """How it ended, as one word."""
    message: str
    """How it ended, in a sentence."""


@dataclass(frozen=True)
class Past:
    """What the records say of times up to a moment, and of those after it."""

    settled: datetime | None = None
    """The latest time up to the moment for which a cycle was scheduled last."""
    ahead: frozenset[datetime] = frozenset()
    """The times after that one for which there was a cycle, too."""


def look_back(records: Iterable[CycleRecord], now: datetime) -> Past:
    """Return what the records of a survey, newest first, say of the times up to now.

    A clock that was ahead leaves records of the future. They say nothing of the times
    before them: those are still due.
    """
    ahead: set[datetime] = set()
    for record in records:
        if record.scheduled <= now:
            return Past(record.scheduled, frozenset(ahead | set(record.ahead)))
        ahead.add(record.scheduled)
    return Past(None, frozenset(ahead))


@dataclass
class Ledger:
    """What the store has of a survey's cycles; make it by ``read``."""

    store: Store
    survey: str
    """The UID of the Survey."""
    newest: int = FIRST_CYCLE - 1
    """The number of the latest cycle."""
    open: set[int] = field(default_factory=set)
    """The numbers of the cycles that have not ended."""
    kept: set[int] = field(default_factory=set)
    """The numbers of the ended cycles whose objects are not removed."""
    measurements: dict[int, set[str]] = field(default_factory=dict)
    """The UIDs of the Measurements that were made for each cycle."""
    _records: dict[int, CycleRecord] = field(default_factory=dict)
    _ends: dict[int, CycleEnd] = field(default_factory=dict)

    @staticmethod
    def read(store: Store, survey: str) -> Ledger:
        """Read which cycles there are.

        Raises:
            OSError: When the store can't be reached.
            ValueError: When there is an object that does not belong there.
        """
        ledger = Ledger(store, survey)
        folder = cycles_of(survey)
        begun, ended, removed = set(), set(), set()
        for key in store.list(folder):
            name, _, rest = key.removeprefix(f"{folder}/").partition("/")
            number = int(name.removesuffix(".json"))
            match rest.split("/"):
                case [""]:
                    begun.add(number)
                case ["end.json"]:
                    ended.add(number)
                case ["removed.json"]:
                    removed.add(number)
                case ["measurements", uid]:
                    ledger._note(number, uid.removesuffix(".json"))
                case _:
                    raise ValueError(f"{key} is no object of a cycle; remove it")
        ledger.newest = max(begun, default=FIRST_CYCLE - 1)
        ledger.open = begun - ended
        ledger.kept = ended - removed
        return ledger

    def has(self, number: int) -> bool:
        """Return whether a cycle has begun."""
        return FIRST_CYCLE <= number <= self.newest

    def has_ended(self, number: int) -> bool:
        """Return whether a cycle has ended, as far as the ledger knows."""
        return self.has(number) and number not in self.open

    def get_record(self, number: int) -> CycleRecord:
        """Return the record of a cycle."""
        if number not in self._records:
            text = self.store.get(CycleKeys(self.survey, number).record)
            self._records[number] = CycleRecord.model_validate_json(text)
        return self._records[number]

    def get_end(self, number: int) -> CycleEnd:
        """Return the end of a cycle that has ended."""
        if number not in self._ends:
            text = self.store.get(CycleKeys(self.survey, number).end)
            self._ends[number] = CycleEnd.model_validate_json(text)
        return self._ends[number]

    def find_past(self, now: datetime) -> Past:
        """Return what all records say of the times up to now."""
        return look_back(map(self.get_record, self._backwards), now)

    def find_latest_ends(self, count: int) -> tuple[CycleEnd, ...]:
        """Return the ends of the latest cycles that have ended, newest first."""
        ended = (number for number in self._backwards if number not in self.open)
        return tuple(map(self.get_end, islice(ended, count)))

    def find_removable(
        self, max_cycles: int | None, ended_before: datetime | None
    ) -> list[int]:
        """Return the ended cycles that are too many or too old, oldest first."""
        kept = sorted(self.kept)
        count = max(len(kept) - max_cycles, 0) if max_cycles is not None else 0
        found, rest = kept[:count], kept[count:]
        if ended_before is not None:
            for number in rest:
                if self.get_end(number).ended > ended_before:
                    break
                found.append(number)
        return found

    def has_results(self, number: int) -> bool:
        """Return whether a run of a cycle's Measurements has gathered its results."""
        return any(
            self._holds(SurveyKeys(uid, run).summary)
            for uid in self.measurements.get(number, ())
            for run in self.store.folders(f"surveys/{uid}")
        )

    def look_for_end(self, number: int) -> bool:
        """Return whether the store has the end of a cycle by now."""
        return self._holds(CycleKeys(self.survey, number).end)

    def begin(self, record: CycleRecord) -> bool:
        """Put the record of a cycle; return False if the cycle has one already."""
        number = record.number
        is_new = self._put(CycleKeys(self.survey, number).record, record)
        if is_new:
            self.newest = number
            self.open.add(number)
            self._records[number] = record
        return is_new

    def note(self, number: int, uid: str) -> None:
        """Put a note that a Measurement was made for a cycle."""
        self.store.put(CycleKeys(self.survey, number).measurement(uid), b"{}\n")
        self._note(number, uid)

    def conclude(self, end: CycleEnd) -> bool:
        """Put the end of a cycle; return False if the cycle has one already."""
        is_new = self._put(CycleKeys(self.survey, end.number).end, end)
        if is_new:
            self._ends[end.number] = end
            self.open.discard(end.number)
            self.kept.add(end.number)
        return is_new

    def note_removal(self, number: int) -> None:
        """Put a note that the objects of a cycle's Measurements are removed."""
        self.store.put(CycleKeys(self.survey, number).removed, b"{}\n")
        self.kept.discard(number)

    @property
    def _backwards(self) -> range:
        """The numbers of all cycles, newest first."""
        return range(self.newest, FIRST_CYCLE - 1, -1)

    def _holds(self, key: str) -> bool:
        try:
            self.store.tail(key, 1)
        except FileNotFoundError:
            return False
        return True

    def _note(self, number: int, uid: str) -> None:
        self.measurements.setdefault(number, set()).add(uid)

    def _put(self, key: str, what: Model) -> bool:
        text = what.model_dump_json(by_alias=True, exclude_none=True, indent=1)
        return self.store.put(key, text.encode())
