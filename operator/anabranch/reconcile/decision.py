"""Decides the status of a measurement and the actions for it; pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from anabranch.api.measurementstatus import (
    MeasurementStatus,
    MeasurementTotals,
    PinnedList,
    Results,
    Subject,
    UnhealthyAgent,
)
from anabranch.manifests.rounds import name_step
from anabranch.reconcile.conditions import Conditions
from anabranch.reconcile.course import State
from anabranch.reconcile.courses import count_agents, find_courses
from anabranch.reconcile.coverage import cover, cover_rehearsal, tell
from anabranch.reconcile.leftovers import (
    find_strays,
    remove_children,
    retire_children,
)
from anabranch.reconcile.observation import (
    CreateJob,
    Decision,
    DeleteJob,
    PutAnnotations,
    PutRoster,
)
from anabranch.reconcile.rehearsal import create_counts, find_refusal, tell_most
from anabranch.reconcile.standing import decide_standing
from anabranch.reconcile.start import (
    EXCEEDED,
    find_obstacle,
    make_roster,
)
from anabranch.rounds.outcome import add_missing
from anabranch.rounds.shortfall import describe_nothing
from anabranch.store.keys import REPORT, SurveyKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anabranch.reconcile.course import Course
    from anabranch.reconcile.observation import Action, Observation
    from anabranch.reconcile.start import Obstacle

_MAX_UNHEALTHY = 20
_LOOK_SECONDS = 30.0
"""The seconds until the next look at a run that waits for an unreported change."""
RESULTS = "results"
"""The suffix of the results job's name."""


def decide(seen: Observation, bucket: str) -> Decision:
    """Decide the status and the actions for an observation.

    ``bucket`` is the bucket that holds the results.
    """
    if seen.measurement.spec.is_standing:
        return decide_standing(seen)
    return _Decider(seen, bucket).decide()


@dataclass
class _Decider:
    seen: Observation
    bucket: str
    conditions: Conditions = field(init=False)
    before: MeasurementStatus = field(init=False)
    """The status of this run so far, without anything from another run."""

    def __post_init__(self) -> None:
        measurement = self.seen.measurement
        is_same = measurement.status.run_id == measurement.spec.run_id
        fresh = MeasurementStatus(run_id=measurement.spec.run_id)
        self.before = measurement.status if is_same else fresh
        conditions = self.before.conditions
        self.conditions = Conditions(measurement, conditions, self.seen.now)

    def decide(self) -> Decision:
        spec = self.seen.measurement.spec
        strays = tuple(find_strays(self.seen))
        if self.before.completion_time:
            decision = self._rest()
        elif self.before.start_time:
            decision = self._run()
        elif spec.suspend:
            decision = self._say("Suspended", "suspend is true")
        elif obstacle := find_obstacle(self.seen):
            decision = self._wait(obstacle)
        elif spec.dry_run:
            decision = self._rehearse()
        else:
            decision = self._start()
        return replace(decision, actions=strays + decision.actions)

    def _say(
        self, reason: str, message: str, *actions: Action, again: float | None = None
    ) -> Decision:
        """Report that the measurement is not ready, and why."""
        if reason == "Suspended":
            self.conditions.set("Suspended", reason, message)
        self.conditions.set("Ready", reason, message, holds=False)
        return self._decide(*actions, again=again)

    def _decide(
        self,
        *actions: Action,
        again: float | None = None,
        told: Mapping[str, object] | None = None,
        wanted: tuple[int, ...] = (),
    ) -> Decision:
        """Make a decision from the conditions and ``told``, other status fields."""
        if not any(each.type == "Complete" for each in self.conditions.all):
            message = "there is more to come"
            self.conditions.set("Complete", "InProgress", message, holds=False)
        status = self.before.model_copy(
            update={
                "observed_generation": self.seen.measurement.metadata.generation,
                "run_id": self.seen.measurement.spec.run_id,
                "conditions": self.conditions.all,
                "waiting_since": None,
                **(told or {}),
            }
        )
        return Decision(status, actions, again, wanted)

    def _wait(self, obstacle: Obstacle) -> Decision:
        """Report an obstacle to the start, or fail the run after the start deadline."""
        spec, now = self.seen.measurement.spec, self.seen.now
        waiting = since = self.before.waiting_since or now
        if spec.start_at:
            since = max(since, spec.start_at)
        limit = spec.start_deadline_seconds
        if limit and now >= since + timedelta(seconds=limit):
            message = f"it could not start for {limit} s: {obstacle.message}"
            return self._fail("StartDeadlineExceeded", message)
        if obstacle.is_for_good:
            self.conditions.set("Stalled", obstacle.reason, obstacle.message)
        waits = [_LOOK_SECONDS]
        if limit:
            waits.append((since - now).total_seconds() + limit)
        if spec.start_at and spec.start_at > now:
            waits = [(spec.start_at - now).total_seconds()]
        self.conditions.set("Ready", obstacle.reason, obstacle.message, holds=False)
        return self._decide(again=min(waits), told={"waiting_since": waiting})

    def _start(self) -> Decision:
        """Report that the run has started; its spec is fixed from now on."""
        self.conditions.set("Ready", "Started", "the run has started")
        told = {
            "start_time": self.seen.now,
            "target_lists": self._pin(),
            "subject": self._pin_subject(),
        }
        return self._decide(again=0.0, told=told)

    def _pin(self) -> tuple[PinnedList, ...]:
        entries = self.seen.measurement.spec.agents
        names = {entry.target_list for entry in entries if entry.target_list}
        return tuple(
            PinnedList(name=name, digest=digest)
            for name in sorted(names)
            if (digest := self.seen.lists[name].status.digest)
        )

    def _pin_subject(self) -> Subject | None:
        subject = self.seen.subject
        if subject is None:
            return None
        return Subject(uid=subject.metadata.uid, run_id=subject.spec.run_id)

    def _rehearse(self) -> Decision:
        """Count what would be sent, and send nothing."""
        seen = self.seen
        if seen.roster is None:
            roster = make_roster(seen, self._pin(), self._pin_subject())
            put = PutRoster(roster, seen.part)
            return self._say("Counting", "probes are counted", put, again=0.0)
        if (refused := find_refusal(seen, seen.roster)) is not None:
            self.conditions.set("Failed", "Refused", refused)
            self.conditions.set("Stalled", "Refused", refused)
            return self._say("Refused", refused)
        if len(seen.counts) < len(seen.roster.runs):
            jobs = create_counts(seen, seen.roster)
            return self._say("Counting", "probes are counted", *jobs)
        coverage = cover_rehearsal(seen.counts.values())
        if not coverage.probed:
            message = describe_nothing(coverage)
            for kind in ("Failed", "Stalled"):
                self.conditions.set(kind, "NoTargets", message)
            self.conditions.set("Ready", "NoTargets", message, holds=False)
            return self._decide(told=tell(coverage))
        left_out = coverage.describe_left_out()
        agents = len(seen.roster.members)
        message = (
            f"{agents} agents would {tell_most(seen.counts.values(), coverage.probed)}"
            f"{left_out and f' ({left_out})'}; set dryRun to false to start"
        )
        self.conditions.set("Ready", "DryRun", message)
        self.conditions.set("Complete", "DryRun", message)
        return self._decide(told=tell(coverage))

    def _run(self) -> Decision:
        """Continue a run, agent by agent."""
        seen, spec = self.seen, self.seen.measurement.spec
        if seen.roster is None:
            if seen.policy is None:
                return self._say("NoPolicy", "there is no valid ProbingPolicy any more")
            lists, subject = self.before.target_lists, self.before.subject
            put = PutRoster(make_roster(seen, lists, subject, self.before.start_time))
            self.conditions.set("Ready", "Started", "the run has started")
            return self._decide(put, again=0.0)
        if seen.roster.started != self.before.start_time:
            message = f"there was a run with runId {spec.run_id!r}; choose another"
            return self._fail("RunIdUsed", message)
        left, cut_age = self._find_time_left(), None
        if left is not None and left <= 0:
            # The limit may have been lowered now, or nobody looked when it passed:
            # agents have their time to stop from now on. batch/v1 Jobs say it so, too.
            message = "it took longer than it may; agents store what they have"
            self.conditions.set("FailureTarget", "DeadlineExceeded", message)
            cut_age = self.conditions.age("FailureTarget")
        courses = find_courses(seen, cut_age=cut_age)
        told = self._count(courses)
        is_gathered = name_step(seen.measurement, "", RESULTS) in seen.jobs
        if is_gathered or all(course.is_over for course in courses):
            # Gathered results stay: an agent that comes back now is too late.
            over = [course for course in courses if course.is_over]
            return self._finish(courses, [a for it in over for a in it.actions], told)
        actions = [action for course in courses for action in course.actions]
        wanted = tuple(probes for course in courses for probes in course.wanted)
        again = _LOOK_SECONDS if left is None else min(max(left, 0.5), _LOOK_SECONDS)
        running = [course for course in courses if not course.is_over]
        if spec.suspend:
            self.conditions.set("Suspended", "Suspended", "suspend is true")
            reason, message = "Suspended", "suspend is true"
        elif seen.policy is None:
            reason, message = "NoPolicy", "there is no valid ProbingPolicy any more"
        elif seen.policy.stop:
            reason, message = "ProbingStopped", "the ProbingPolicy stops all probing"
        elif not any(course.is_healthy for course in running):
            short = [course for course in running if course.wanted]
            reason = EXCEEDED if short else "AgentsUnavailable"
            first = (short or running)[0]
            message = f"{first.member.name}: {first.message}"
        else:
            counts = count_agents(courses)
            done = counts.total - counts.running
            message = f"round {told['round']}: {done} of {counts.total} agents are "
            message += "through"
            self.conditions.set("Ready", "Running", message)
            return self._decide(*actions, again=again, told=told, wanted=wanted)
        self.conditions.set("Ready", reason, message, holds=False)
        return self._decide(*actions, again=again, told=told, wanted=wanted)

    def _find_time_left(self) -> float | None:
        """Return how many seconds the run may still take; None without a limit."""
        policy, spec = self.seen.policy, self.seen.measurement.spec
        of_policy = policy.limits.max_duration_seconds if policy else None
        limits = [each for each in (spec.active_deadline_seconds, of_policy) if each]
        if not limits or self.before.start_time is None:
            return None
        end = self.before.start_time + timedelta(seconds=min(limits))
        return (end - self.seen.now).total_seconds()

    def _count(self, courses: list[Course]) -> dict[str, object]:
        """Return the status fields that describe the agents."""
        agents = count_agents(courses)
        unhealthy = [
            UnhealthyAgent(name=name, reason=reason[:1024])
            for course in courses
            for name, reason in course.agents.items()
            if reason
        ]
        return {
            "round": max((course.step.round for course in courses), default=0),
            "totals": MeasurementTotals(
                probes=sum(course.probes for course in courses),
                replies=sum(course.replies for course in courses),
            ),
            "agents": agents,
            **tell(cover(courses)),
            "agents_summary": f"{agents.total - len(unhealthy)}/{agents.total}",
            "unhealthy_agents": tuple(unhealthy[:_MAX_UNHEALTHY]),
        }

    def _finish(
        self, courses: list[Course], actions: list[Action], told: dict[str, object]
    ) -> Decision:
        """Gather the results, and report how the run ended."""
        seen = self.seen
        if all(course.run.has_nothing for course in courses):
            message = describe_nothing(cover(courses))
            return self._fail("NoTargets", message, *actions, told=told)
        name = name_step(seen.measurement, "", RESULTS)
        job = seen.jobs.get(name)
        if job and job.is_failed:
            message = f"Job {job.name}: {job.message}"
            return self._fail("ResultsFailed", message, *actions, told=told)
        if seen.findings is None:
            keys = self._keys
            arguments = ("--measurement", keys.measurement, "--run-id", keys.run_id)
            agents = (course.member.name for course in courses)
            create = CreateJob(name, (RESULTS, *arguments, *agents))
            more: list[Action] = []
            if job is None:
                sources = seen.measurement.spec.annotate_from
                named = any(source.config_map for source in sources)
                more = [*([PutAnnotations()] if named else []), create]
            if job and job.is_complete:
                more = [DeleteJob(job.name, job.uid)]
            self.conditions.set("Ready", "Gathering", "results are gathered")
            return self._decide(*actions, *more, told=told)
        found = seen.findings
        totals = told["totals"]
        if isinstance(totals, MeasurementTotals):
            ends = [course.run.last for course in courses]
            counted = {
                "nodes": found.interfaces,
                "links": found.links,
                "missing_links": add_missing(end for end in ends if end),
            }
            told["totals"] = totals.model_copy(update=counted)
        places = {table: self._keys.table(table) for table in found.tables}
        places |= {name: f"{self._keys.output(name)}/" for name in found.outputs}
        if REPORT in places:
            places[REPORT] = self._keys.report
        told["results"] = tuple(
            Results(name=name, uri=f"s3://{self.bucket}/{key}")
            for name, key in places.items()
        )
        return self._conclude(courses, actions, told)

    def _conclude(
        self, courses: list[Course], actions: list[Action], told: dict[str, object]
    ) -> Decision:
        bad = [course for course in courses if course.state is not State.DONE]
        counts = count_agents(courses)
        if any(course.state is State.CUT for course in bad):
            message = (
                f"it took longer than it may; {counts.finished} of {counts.total} "
                "agents were through, and what was found is kept"
            )
            return self._fail("DeadlineExceeded", message, *actions, told=told)
        if bad and len(bad) == len(courses):
            message = f"{bad[0].member.name}: {bad[0].message}"
            return self._fail("AgentsFailed", message, *actions, told=told)
        reason = "PartlyComplete" if bad else "Completed"
        left_out = cover(courses).describe_left_out()
        message = f"{counts.finished} of {counts.total} agents are through"
        message += left_out and f"; {left_out}"
        if found := self.seen.findings:
            lacks = found.not_annotated
            message += lacks and f"; addresses are not annotated: {lacks}"
        self.conditions.set("Ready", reason, message)
        self.conditions.set("Complete", reason, message)
        return self._end(*actions, told=told)

    def _fail(
        self,
        reason: str,
        message: str,
        *actions: Action,
        told: Mapping[str, object] | None = None,
    ) -> Decision:
        self.conditions.set("Failed", reason, message)
        self.conditions.set("Stalled", reason, message)
        for kind in ("Ready", "Complete"):
            self.conditions.set(kind, reason, message, holds=False)
        return self._end(*actions, told=told or {})

    def _end(self, *actions: Action, told: Mapping[str, object]) -> Decision:
        ended = {"completion_time": self.seen.now}
        return self._decide(*actions, again=0.0, told={**told, **ended})

    def _rest(self) -> Decision:
        """Keep the conditions of a run that is over, and clean up its children."""
        for each in self.before.conditions:
            holds = each.status == "True"
            self.conditions.set(each.type, each.reason, each.message, holds=holds)
        ttl = self.seen.measurement.spec.ttl_seconds_after_finished
        ended = self.before.completion_time
        left = None
        if ttl is not None and ended is not None:
            left = (ended + timedelta(seconds=ttl) - self.seen.now).total_seconds()
        if left is not None and left <= 0:
            return self._decide(*remove_children(self.seen))
        return self._decide(*retire_children(self.seen), again=left)

    @property
    def _keys(self) -> SurveyKeys:
        measurement = self.seen.measurement
        return SurveyKeys(measurement.metadata.uid, measurement.spec.run_id)
