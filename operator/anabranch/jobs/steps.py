"""The jobs of one agent's run: count its probes, begin it, and conclude each step."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from anabranch_engine import TargetList

from anabranch.rounds.tools import Unit
from anabranch.runs.assignment import Assignment, assign
from anabranch.runs.chain import is_concluded
from anabranch.runs.handouts import put_unfinished, tell_blocks
from anabranch.runs.record import RunRecord
from anabranch.runs.report import ProbeCount, RefusedError
from anabranch.runs.roster import Roster
from anabranch.store.keys import SurveyKeys, shared_list
from anabranch.warehouse.damage import naming_damage
from anabranch.warehouse.job import RoundJob
from anabranch.warehouse.parts import find_ends
from anabranch.warehouse.subjects import list_interfaces

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Plan

    from anabranch.rounds.steps import Step
    from anabranch.rounds.workers import Worker
    from anabranch.store.keys import RunKeys, StepKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.environment import Warehouse


def count(
    store: Store, warehouse: Warehouse, keys: SurveyKeys, agent: str, scratch: Path
) -> ProbeCount:
    """Store and return what an agent would send.

    Raises:
        RefusedError: When the agent could not run.
    """
    assignment = _assign(store, warehouse, keys, agent, scratch)
    targets = assignment.counts
    probes = 0 if assignment.unit is Unit.PROBE else None
    if targets.probed and probes is not None:
        probes = assignment.count_units(scratch / "targets.parquet")
    counted = ProbeCount(targets.probed, probes, targets.shortfalls)
    store.put(keys.count(agent), json.dumps(asdict(counted)).encode())
    return counted


@dataclass(frozen=True)
class AgentJob:
    """A job that works on one agent's run."""

    store: Store
    warehouse: Warehouse
    keys: RunKeys
    scratch: Path

    def begin(self) -> None:
        """Record what the run is started with, and plan its first step.

        If the run has nothing to probe, store counts that say why, and no plan.

        Raises:
            RefusedError: When the agent can't run.
        """
        keys = self.keys
        survey = SurveyKeys(keys.measurement, keys.run_id)
        assignment = _assign(
            self.store, self.warehouse, survey, keys.agent, self.scratch
        )
        self.store.put(keys.run, assignment.record.write())
        if not assignment.counts.probed:
            assignment.put_counts(self.store)
            return
        assignment.put_targets(self.store, self.scratch)
        self._open_round(assignment.record).begin()

    def conclude(self, step: Step, worker: Worker, *, is_last: bool) -> None:
        """Find the links of a probed step, and plan the next step.

        All workers share the work, and the first one concludes the step. Leave a step
        that was concluded before as it is. Leave one that is not probed to
        its end, too, if others of a team can go on with it: note what is left.

        Raises:
            DamagedError: When an object of the run can't be used.
            RefusedError: When an agent that nobody can stand in for has not probed to
                the end.
        """
        left: list[int] = []
        with naming_damage(self.store, [self.keys]):
            record = RunRecord.model_validate_json(self.store.get(self.keys.run))
            job, keys = self._open_round(record), self.keys.step(step)
            if is_concluded(self.store, keys):
                job.tidy(step)
                return
            if not is_last:
                left = self._find_unfinished(job.read_plan(step), keys)
            if not left and worker.concludes:
                job.conclude(step, is_last=is_last)
            elif not left:
                job.help(step, worker, is_last=is_last)
            elif record.members:
                put_unfinished(self.store, keys, left)
        if left and not record.members:
            raise RefusedError(
                f"agent {self.keys.agent} says that it has probed step {step} to its "
                f"end, but {tell_blocks(left)}; see the agent's log, and run the "
                "measurement under another runId"
            )

    def _find_unfinished(self, plan: Plan, keys: StepKeys) -> list[int]:
        """Return the blocks whose parts end before their last slot."""
        ends = find_ends(self.store, keys)
        blocks = range(plan.blocks)
        return [block for block in blocks if ends.get(block, 0) < plan.end(block)]

    def _open_round(self, record: RunRecord) -> RoundJob:
        return RoundJob(
            self.store,
            self.warehouse.engine,
            self.keys,
            record.run_rules,
            self.scratch,
            tables=self.warehouse.tables,
        )


def _assign(
    store: Store, warehouse: Warehouse, keys: SurveyKeys, agent: str, scratch: Path
) -> Assignment:
    roster = Roster.model_validate_json(store.get(keys.roster))
    if subject := roster.subject:
        try:
            content = list_interfaces(store, warehouse.engine, subject, scratch)
        except LookupError as error:
            raise RefusedError(f"what aliases.of names: {error}") from error
        record = roster.record(agent, content.digest())
    else:
        record = roster.record(agent)
        text = store.get(shared_list(record.target_list))
        content = TargetList.read(io.BytesIO(text))
    try:
        return assign(record, content)
    except ValueError as error:
        raise RefusedError(str(error)) from error
