"""Measurements: their runs, from the first Round to the results."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from anabranch.api.configmap import ConfigMap
from anabranch.api.round import RoundSpec
from anabranch.cluster.objects import ForeignError, Place, read_object
from anabranch.manifests.jobs import build_job, share_work
from anabranch.manifests.labels import Component, label
from anabranch.manifests.rounds import build_round, build_standing_round
from anabranch.reconcile.conditions import Conditions
from anabranch.reconcile.decision import RESULTS, decide
from anabranch.reconcile.memory import Memory
from anabranch.reconcile.observation import (
    AgentView,
    ChangeRound,
    CreateJob,
    CreateRound,
    CreateStandingRound,
    DeleteJob,
    DeleteRound,
    ExpireJob,
    Observation,
    PutAnnotations,
    PutCharge,
    PutHandOut,
    PutRoster,
)
from anabranch.reconcile.quotas import OverdrawnError, Quotas
from anabranch.reconcile.start import find_obstacle
from anabranch.reconcile.targetlist import find_unchecked
from anabranch.rounds.workers import count_workers
from anabranch.runs.handouts import put_hand_out
from anabranch.store.keys import RunKeys, SurveyKeys

if TYPE_CHECKING:
    from datetime import datetime

    from anabranch.api import Agent, Measurement
    from anabranch.api.measurementstatus import MeasurementStatus
    from anabranch.manifests.settings import Settings
    from anabranch.reconcile.observation import Action
    from anabranch.reconcile.toolbox import Toolbox

TOTALS_SECONDS = 10.0
"""How many seconds apart totals are written if nothing else changes."""


@dataclass
class Measurements:
    """The reconciler of Measurements."""

    tools: Toolbox
    quotas: Quotas = field(init=False)
    """What namespaces have done of what they may."""
    _memories: dict[tuple[str, str], Memory] = field(default_factory=dict)
    _said_at: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _unable_since: dict[str, datetime] = field(default_factory=dict)
    _blocked: set[tuple[str, str]] = field(default_factory=set)
    """The measurements for which a foreign object has the name of a child."""

    def __post_init__(self) -> None:
        tools = self.tools
        self.quotas = Quotas(tools.store, tools.inventory, tools.recall)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Advance a measurement; return the seconds after which to look again.

        Raises:
            OSError: When the store can't be reached.
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        found = self.tools.inventory.measurements.get((namespace, name))
        measurement = next(iter(found or ()), None)
        if measurement is None or measurement.metadata.deletion_timestamp:
            # Kubernetes removes its Rounds; the sweep removes its Jobs.
            self._memories.pop((namespace, name), None)
            self._said_at.pop((namespace, name), None)
            self._blocked.discard((namespace, name))
            self.quotas.forget((namespace, name))
            return None
        measurement = self.tools.recall(measurement)
        seen = await self._observe(measurement)
        await self.quotas.open(seen)
        # Nothing may happen between what is seen of a quota and what is decided by it.
        seen = self.quotas.weigh(seen)
        decision = decide(seen, self.tools.settings.store.bucket)
        self.quotas.note(seen, decision)
        wait = self._find_wait(measurement, decision.status, seen.now)
        # While a foreign object has a child's name, try first whether that is still so.
        # Otherwise the status would change back and forth with each look.
        was_blocked = measurement.key in self._blocked
        if not was_blocked and wait is None and decision.status != measurement.status:
            await self._say(measurement, decision.status)
            self._said_at[measurement.key] = seen.now
        try:
            for action in decision.actions:
                await self._act(measurement, action)
        except ForeignError as error:
            self._blocked.add(measurement.key)
            await self._tell_foreign(self.tools.recall(measurement), error)
            return self.tools.look_seconds
        except OverdrawnError:
            return 0.0
        if was_blocked:
            self._blocked.discard(measurement.key)
            return 0.0
        times = [each for each in (wait, decision.requeue_seconds) if each is not None]
        return min(times, default=None)

    async def _say(self, measurement: Measurement, status: MeasurementStatus) -> None:
        """Write a status; write that of a start only if the spec is unchanged."""
        is_start = status.start_time not in {None, measurement.status.start_time}
        await self.tools.say(measurement, status, is_start=is_start)

    def _find_wait(
        self, measurement: Measurement, status: MeasurementStatus, now: datetime
    ) -> float | None:
        """Return the seconds that a status can wait, or None if it need not wait.

        Totals grow with each status of each Round, so they can wait.
        """
        before = measurement.status
        said_at = self._said_at.get(measurement.key)
        only_totals = before.model_copy(update={"totals": status.totals})
        if said_at is None or status == before or status != only_totals:
            return None
        left = TOTALS_SECONDS - (now - said_at).total_seconds()
        return left if left > 0 else None

    async def _observe(self, measurement: Measurement) -> Observation:
        inventory, uid = self.tools.inventory, measurement.metadata.uid
        policy = inventory.find_policy()
        seen = Observation(
            measurement=measurement,
            now=self.tools.now(),
            policy=policy.spec if policy else None,
            agents=self._view_agents(measurement),
            lists=inventory.find_lists(measurement.metadata.namespace),
            subject=inventory.find_subject(measurement),
            rounds=inventory.find_rounds(uid),
            jobs=inventory.find_jobs(uid),
        )
        status, spec = measurement.status, measurement.spec
        is_same = status.run_id == spec.run_id
        if is_same and status.completion_time:
            self._memories.pop(measurement.key, None)
            return seen
        if spec.is_standing:
            return seen
        is_started = is_same and status.start_time is not None
        if not is_started and find_obstacle(seen) is None:
            named = {entry.target_list for entry in spec.agents}
            found = [each for name, each in seen.lists.items() if name in named]
            seen = replace(seen, unchecked=await find_unchecked(self.tools, found))
        if not is_started and not spec.dry_run:
            return seen
        keys = SurveyKeys(uid, spec.run_id, "" if is_started else seen.part)
        memory = self._memories.get(measurement.key)
        if memory is None or memory.keys != keys:
            # This is another spec or run, so what was known is useless.
            memory = self._memories[measurement.key] = Memory(keys)
        seen = await asyncio.to_thread(memory.recall, self.tools.store, seen)
        # The roster is known now. Its agents may have other labels by now.
        seen = replace(seen, agents=self._view_agents(measurement))
        seen = replace(seen, unable_since=self._note_unable(seen))
        return await self._explain(seen)

    def _note_unable(self, seen: Observation) -> dict[str, datetime]:
        """Note since when agents that take part are unable to probe, by our own clock.

        After a restart this begins anew, so what a lost agent has is taken back later.
        """
        members = seen.roster.members if seen.roster else ()
        for member in members:
            view = seen.agents.get(member.name)
            if view and view.is_ready:
                self._unable_since.pop(member.name, None)
            else:
                self._unable_since.setdefault(member.name, seen.now)
        return {
            member.name: self._unable_since[member.name]
            for member in members
            if member.name in self._unable_since
        }

    def _view_agents(self, measurement: Measurement) -> dict[str, AgentView]:
        """Return the agents that a measurement chooses now, or chose at its start."""
        memory = self._memories.get(measurement.key)
        roster = memory.roster if memory else None
        members = {each.name for each in roster.members} if roster else set()
        entries = measurement.spec.agents
        if all(entry.selector is None for entry in entries):
            # There may be a thousand agents, and a thousand measurements.
            names = {entry.name for entry in entries} | members
            return {
                name: self._view_agent(agent)
                for name in sorted(names)
                if (agent := self.tools.inventory.find_agent(name))
            }
        return {
            name: self._view_agent(agent)
            for name, agent in self.tools.inventory.find_agents().items()
            if name in members
            or any(entry.chooses(name, agent.metadata.labels) for entry in entries)
        }

    def _view_agent(self, agent: Agent) -> AgentView:
        pod = self.tools.inventory.find_pod(agent.metadata.name)
        wanted = self.tools.find_template(agent)
        return AgentView(
            agent=agent,
            is_ready=pod is not None and pod.is_ready and not pod.is_going,
            message=(pod.message if pod else "") or "its pod is not ready",
            is_outdated=pod is not None and pod.template != wanted,
        )

    async def _explain(self, seen: Observation) -> Observation:
        """Give each failed Job what its pod said as its message."""
        jobs = dict(seen.jobs)
        for name, job in seen.jobs.items():
            if job.is_failed:
                message = await self.tools.explain(job)
                jobs[name] = replace(job, message=message)
        return replace(seen, jobs=jobs)

    async def _act(self, measurement: Measurement, action: Action) -> None:
        objects, settings = self.tools.objects, self.tools.settings
        metadata = measurement.metadata
        match action:
            case PutRoster() | PutHandOut() | PutCharge():
                await self._put(measurement, action)
            case PutAnnotations():
                await self._put_annotations(measurement)
            case CreateJob():
                await objects.create(_build_job(settings, metadata.uid, action))
            case CreateRound(agent, step, summary, rate, share):
                manifest = build_round(
                    measurement, agent, step, summary, rate, share=share
                )
                await self._create_round(agent, manifest)
            case CreateStandingRound(agent, standing, rate):
                manifest = build_standing_round(measurement, agent, standing, rate)
                await self._create_round(agent, manifest)
            case ChangeRound(name, rate, suspend):
                changes = {"spec": {"rate": rate, "suspend": suspend}}
                place = Place("Round", metadata.namespace, name)
                await objects.patch(place, changes)
            case DeleteRound(name, uid):
                await objects.delete(Place("Round", metadata.namespace, name), uid)
            case DeleteJob(name, uid):
                await objects.delete(Place("Job", settings.namespace, name), uid)
            case ExpireJob(name, seconds):
                changes = {"spec": {"ttlSecondsAfterFinished": seconds}}
                await objects.patch(Place("Job", settings.namespace, name), changes)

    async def _put(
        self, measurement: Measurement, action: PutRoster | PutHandOut | PutCharge
    ) -> None:
        """Put what an action puts into the store."""
        store, uid = self.tools.store, measurement.metadata.uid
        run_id = measurement.spec.run_id
        match action:
            case PutRoster(roster, part):
                keys = SurveyKeys(uid, run_id, part)
                await asyncio.to_thread(store.put, keys.roster, roster.write())
            case PutHandOut(team, step, number, hand_out):
                run = RunKeys(uid, run_id, team)
                put_it = partial(put_hand_out, store, run.step(step), number, hand_out)
                await asyncio.to_thread(put_it)
            case PutCharge():
                await self.quotas.charge(measurement.metadata.namespace, action)

    async def _put_annotations(self, measurement: Measurement) -> None:
        """Put what ConfigMaps say about addresses; the Job tells which are missing."""
        metadata, spec = measurement.metadata, measurement.spec
        keys = SurveyKeys(metadata.uid, spec.run_id)
        for number, source in enumerate(spec.annotate_from):
            if wanted := source.config_map:
                place = Place("ConfigMap", metadata.namespace, wanted.name)
                found = await self.tools.objects.get(place)
                content = found and read_object(ConfigMap, found).content(wanted.key)
                if content is not None:
                    put = partial(self.tools.store.put, keys.annotation(number))
                    await asyncio.to_thread(put, content)

    async def _create_round(self, agent: Agent, manifest: dict[str, Any]) -> None:
        """Create a Round whose agent reaches what it takes."""
        if access := self.tools.access:
            await access.widen(agent, RoundSpec.read(manifest["spec"]))
        await self.tools.objects.create(manifest)

    async def _tell_foreign(
        self, measurement: Measurement, error: ForeignError
    ) -> None:
        conditions = Conditions(
            measurement, measurement.status.conditions, self.tools.now()
        )
        message = str(error)
        conditions.set("Ready", "NameTaken", message, holds=False)
        conditions.set("Stalled", "NameTaken", message)
        conditions.set("Complete", "NameTaken", message, holds=False)
        update = {
            "conditions": conditions.all,
            "observed_generation": measurement.metadata.generation,
        }
        await self.tools.say(measurement, measurement.status.model_copy(update=update))


def _build_job(settings: Settings, uid: str, action: CreateJob) -> dict[str, Any]:
    """Build a Job that works on a run of the Measurement with this UID."""
    component = {
        "count": Component.COUNT_JOB,
        RESULTS: Component.RESULTS_JOB,
    }.get(action.arguments[0], Component.STEP_JOB)
    more = {"agent": action.agent} if action.agent else {}
    labels = label(component, measurement_uid=uid, **more)
    job = build_job(settings, action.name, labels, list(action.arguments))
    workers = count_workers(action.replies, settings.jobs.parallelism)
    if workers > 1:
        share_work(job, workers)
    return job
