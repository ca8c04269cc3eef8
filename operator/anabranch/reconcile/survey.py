"""Surveys: their cycles, each of which is a Measurement."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from anabranch.api.schedule import Schedule, ScheduleError
from anabranch.cluster.client import FORBIDDEN, INVALID, RefusedError
from anabranch.cluster.objects import ForeignError, Place
from anabranch.manifests.cycles import build_measurement
from anabranch.manifests.jobs import build_job
from anabranch.manifests.labels import Component, label, name_child
from anabranch.reconcile.cycles import (
    LATEST_ENDS,
    Begin,
    Conclude,
    CreateMeasurement,
    CycleView,
    DeleteMeasurement,
    Due,
    Note,
    SurveyView,
    act,
    find_due,
    find_free,
)
from anabranch.reconcile.surveystatus import (
    Obstacle,
    describe_obstacle,
    describe_survey,
)
from anabranch.runs.cycles import Ledger

if TYPE_CHECKING:
    from anabranch.api import Measurement, Survey
    from anabranch.reconcile.cycles import CycleAction
    from anabranch.reconcile.toolbox import Toolbox

_REMOVED_AT_ONCE = 20
"""The most cycles of a Job that removes their objects."""
_LOOK_SECONDS = 60.0
"""The most seconds until the next look: the clock may be set."""


class BlockedError(Exception):
    """A Measurement that can't be made until somebody changes something."""

    def __init__(self, obstacle: Obstacle) -> None:
        self.obstacle = obstacle
        super().__init__(obstacle.message)


@dataclass
class Surveys:
    """The reconciler of Surveys."""

    tools: Toolbox
    _ledgers: dict[tuple[str, str], Ledger] = field(default_factory=dict)
    """What was read of the store; the objects never change."""
    _blocked: dict[tuple[str, str], Obstacle] = field(default_factory=dict)
    """The surveys whose next Measurement can't be made, and why."""

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Advance a survey; return the seconds after which to look again.

        Raises:
            OSError: When the store can't be reached.
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        key = (namespace, name)
        found = self.tools.inventory.surveys.get(key)
        survey = next(iter(found or ()), None)
        if survey is None or survey.metadata.deletion_timestamp:
            # Kubernetes removes its Measurements. What the store has of it stays.
            self._ledgers.pop(key, None)
            self._blocked.pop(key, None)
            return None
        survey = self.tools.recall(survey)
        try:
            schedule = _read_schedule(survey)
        except ScheduleError as error:
            obstacle = Obstacle("InvalidSchedule", str(error))
            status = describe_obstacle(survey, obstacle, self.tools.now())
            await self.tools.say(survey, status)
            return None
        try:
            return await self._advance(survey, schedule)
        except BaseException:
            # Whatever went wrong, the store knows what was done.
            self._ledgers.pop(key, None)
            raise

    async def _advance(self, survey: Survey, schedule: Schedule | None) -> float:
        """Say how a survey is, and take the actions."""
        ledger = await self._open(survey)
        seen = await asyncio.to_thread(self._observe, survey, schedule, ledger)
        due = find_due(seen)
        obstacle = self._blocked.get(survey.key)
        trouble = await self._remove_old(survey, seen)
        status = describe_survey(seen, due, obstacle, trouble)
        await self.tools.say(survey, status)
        actions = list(act(seen, due))
        try:
            for action in actions:
                await self._take(survey, ledger, action)
        except BlockedError as error:
            self._blocked[survey.key] = error.obstacle
            status = describe_survey(seen, due, error.obstacle)
            await self.tools.say(self.tools.recall(survey), status)
            return self.tools.look_seconds
        if obstacle:
            del self._blocked[survey.key]
            return 0.0
        if any(isinstance(each, Begin | Conclude) for each in actions):
            return 0.0
        return _find_wait(seen, due)

    async def _open(self, survey: Survey) -> Ledger:
        uid, known = survey.metadata.uid, self._ledgers.get(survey.key)
        if known is None or known.survey != uid:
            known = await asyncio.to_thread(Ledger.read, self.tools.store, uid)
            self._ledgers[survey.key] = known
        return known

    def _observe(
        self, survey: Survey, schedule: Schedule | None, ledger: Ledger
    ) -> SurveyView:
        """Gather what the store and the inventory have of a survey."""
        now, spec = self.tools.now(), survey.spec
        found = self.tools.inventory.find_cycles(survey)
        numbers = ledger.open | {number for number in found if ledger.has(number)}
        newest = ledger.newest
        removable: list[int] = []
        if kept := spec.retention:
            age = kept.max_age_seconds
            before = None if age is None else now - timedelta(seconds=age)
            removable = ledger.find_removable(kept.max_cycles, before)
        return SurveyView(
            survey=survey,
            now=now,
            schedule=schedule,
            newest=ledger.get_record(newest) if newest else None,
            past=ledger.find_past(now),
            cycles={n: _view_cycle(ledger, n, found.get(n)) for n in numbers},
            ends=ledger.find_latest_ends(LATEST_ENDS),
            removable=removable,
        )

    async def _take(self, survey: Survey, ledger: Ledger, action: CycleAction) -> None:
        """Take an action.

        Raises:
            BlockedError: When a Measurement can't be made.
        """
        objects, namespace = self.tools.objects, survey.metadata.namespace
        match action:
            case Begin(record):
                if not await asyncio.to_thread(ledger.begin, record):
                    # Another operator was first; see what it has put.
                    self._ledgers.pop(survey.key, None)
            case Conclude(end):
                if not await asyncio.to_thread(ledger.conclude, end):
                    self._ledgers.pop(survey.key, None)
            case Note(number, uid):
                await asyncio.to_thread(ledger.note, number, uid)
            case CreateMeasurement(number):
                await self._create(survey, ledger, number)
            case DeleteMeasurement(name, uid):
                await objects.delete(Place("Measurement", namespace, name), uid)

    async def _remove_old(self, survey: Survey, seen: SurveyView) -> str:
        """Have a Job remove the objects of old cycles; return why that fails."""
        numbers = find_free(seen)[:_REMOVED_AT_ONCE]
        about, tools = survey.metadata, self.tools
        jobs = tools.inventory.find_jobs(about.uid).values()
        if not numbers or not all(job.is_complete or job.is_failed for job in jobs):
            return ""
        words = [str(number) for number in numbers]
        name = name_child(about.name, about.uid, *words, suffix="removal")
        job = next((each for each in jobs if each.name == name), None)
        if job is None:
            labels = label(Component.REMOVAL_JOB, survey_uid=about.uid)
            arguments = ["remove", "--survey", about.uid, *words]
            manifest = build_job(tools.settings, name, labels, arguments)
            await tools.objects.create(manifest)
        elif job.is_complete:
            # The next look reads what it has noted.
            self._ledgers.pop(survey.key, None)
        else:
            message = await tools.explain(job)
            return f"the objects of old cycles can't be removed: {message}"
        return ""

    async def _create(self, survey: Survey, ledger: Ledger, number: int) -> None:
        if await asyncio.to_thread(ledger.look_for_end, number):
            # Another operator has ended it since we looked.
            self._ledgers.pop(survey.key, None)
            return
        try:
            made = await self.tools.objects.create(build_measurement(survey, number))
        except ForeignError as error:
            raise BlockedError(Obstacle("NameTaken", str(error))) from error
        except RefusedError as error:
            if error.status not in {FORBIDDEN, INVALID}:
                raise
            message = f"the Measurement of cycle {number} is refused: {error}"
            raise BlockedError(Obstacle("MeasurementRefused", message)) from error
        await asyncio.to_thread(ledger.note, number, made["metadata"]["uid"])


def _read_schedule(survey: Survey) -> Schedule | None:
    spec = survey.spec
    return Schedule.read(spec.schedule, spec.time_zone) if spec.schedule else None


def _view_cycle(
    ledger: Ledger, number: int, measurement: Measurement | None
) -> CycleView:
    has_ended = ledger.has_ended(number)
    noted = ledger.measurements.get(number, ())
    return CycleView(
        record=ledger.get_record(number),
        end=ledger.get_end(number) if has_ended else None,
        measurement=measurement,
        is_noted=measurement is None or measurement.metadata.uid in noted,
        has_results=not has_ended and not measurement and ledger.has_results(number),
    )


def _find_wait(seen: SurveyView, due: Due) -> float:
    if due.next is None:
        return _LOOK_SECONDS
    return min(max((due.next - seen.now).total_seconds(), 1.0), _LOOK_SECONDS)
