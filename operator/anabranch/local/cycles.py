"""The cycles of a Survey on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.runs.cycles import CycleEnd, CycleRecord, Ledger
from anabranch.runs.record import RunRecord
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from datetime import datetime

    from anabranch.api import Survey
    from anabranch.store.directory import DirectoryStore


class LocalCycles:
    """The cycles of a survey in a folder of data."""

    def __init__(self, survey: Survey, store: DirectoryStore) -> None:
        namespace, name = survey.key
        self._survey = survey
        self._store = store
        self._ledger = Ledger.read(store, f"{namespace}.{name}")

    @property
    def number(self) -> int:
        """The cycle to run: one that was interrupted, or else the next one."""
        ledger = self._ledger
        interrupted = [number for number in ledger.open if self._is_same(number)]
        return max(interrupted, default=ledger.newest + 1)

    def begin(self, now: datetime) -> int:
        """Begin the next cycle unless one was interrupted; return its number.

        An interrupted cycle ends if the template has changed since: its run can't go on
        with another one.
        """
        ledger = self._ledger
        for number in sorted(ledger.open):
            if not self._is_same(number):
                message = "the template was changed before the cycle had ended"
                self._conclude(number, now, "Superseded", message)
        number = self.number
        if not ledger.has(number):
            name = self._survey.name_cycle(number)
            record = CycleRecord(number=number, scheduled=now, measurement=name)
            if not ledger.begin(record):
                self._ledger = Ledger.read(self._store, ledger.survey)
                return self.begin(now)
        return number

    def end(self, number: int, now: datetime, *, is_overdue: bool) -> None:
        """Record the end of a cycle whose run is over."""
        if is_overdue:
            message = "it took longer than it may"
            self._conclude(number, now, "DeadlineExceeded", message)
        else:
            self._conclude(number, now, "Completed", "all agents are through")

    def _conclude(self, number: int, now: datetime, reason: str, message: str) -> None:
        end = CycleEnd(
            number=number,
            started=self._ledger.get_record(number).scheduled,
            ended=now,
            succeeded=reason == "Completed",
            reason=reason,
            message=message,
        )
        self._ledger.conclude(end)

    def _is_same(self, number: int) -> bool:
        """Return whether a cycle's run, if it has started, has today's template."""
        made = self._survey.make_measurement(number)
        uid = f"{made.metadata.namespace}.{made.metadata.name}"
        for agent in self._store.folders("agents"):
            keys = RunKeys(uid, made.spec.run_id, agent)
            try:
                record = RunRecord.model_validate_json(self._store.get(keys.run))
            except FileNotFoundError:
                continue
            return record.measurement.spec == made.spec
        return True
