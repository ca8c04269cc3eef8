"""Decides what comes next in the run of each agent; pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anabranch.manifests.rounds import name_round, name_step
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateJob,
    CreateRound,
    DeleteJob,
    DeleteRound,
    ExpireJob,
    RunView,
)
from anabranch.rounds.shortfall import describe_nothing, find_coverage
from anabranch.rounds.steps import FIRST
from anabranch.runs.record import choose_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anabranch.api import Round
    from anabranch.reconcile.observation import Action, AgentView, Observation
    from anabranch.reconcile.views import JobView
    from anabranch.rounds.steps import Step
    from anabranch.runs.roster import Member

CUT_SECONDS = 90
"""How many seconds an agent has to store its last parts, once it is told to stop."""
_KEPT_ROUNDS = 3
"""How many finished Rounds of an agent are kept."""
JOB_SECONDS = 600
"""How many seconds finished Jobs are kept, for people who want to see their logs."""


class State(enum.Enum):
    """The state of an agent's run."""

    PLANNING = "planning"
    PROBING = "probing"
    DONE = "done"
    FAILED = "failed"
    CUT = "cut"
    """Ended by a deadline, with what it had found."""


@dataclass(frozen=True)
class Course:
    """The state of an agent's run, and the actions that it needs now."""

    member: Member
    state: State
    message: str
    """What keeps the run from going on, if anything does."""
    step: Step
    """The step that the run is in, or ended with."""
    probes: int
    replies: int
    run: RunView
    """What the store has of the run."""
    agents: Mapping[str, str]
    """The agents that probe, each with what is wrong with it; nothing if all is well.
    """
    actions: tuple[Action, ...] = ()
    wanted: tuple[int, ...] = ()
    """The probes that Rounds lack which the namespace's quota does not allow now."""

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.state in {State.DONE, State.FAILED, State.CUT}

    @property
    def is_healthy(self) -> bool:
        """Whether nothing keeps the run from going on."""
        return not self.message


@dataclass(frozen=True)
class Navigator:
    """A finder of the course of one agent."""

    seen: Observation
    member: Member
    cut_age: float | None
    """For how many seconds agents are told to stop, if they are."""

    def find(self) -> Course:
        """Find how the run goes on."""
        course = self._find()
        return replace(course, actions=(*self._tidy(), *course.actions))

    def _find(self) -> Course:
        step = self.run.step
        if step is None:
            outcomes = self.run.outcomes
            if outcomes[max(outcomes)].is_cut:
                return self._go(State.CUT, message="it took longer than it may")
            return self._go(State.DONE)
        if message := self._find_job_failure() or self._find_failure(step):
            return self._go(State.FAILED, message=message)
        if self.cut_age is not None:
            return self._cut(step, self.cut_age)
        return self._probe(step)

    def _probe(self, step: Step) -> Course:
        """Start what the step needs next: its plan, its Round, or its conclusion."""
        agent = self._agent
        if agent is None:
            # Without the Agent, its Rounds would wait forever.
            name = self.member.name
            message = (
                f"there is no Agent {name!r} any more that serves this namespace from "
                f"node {self.member.agent.spec.node_name!r}"
            )
            found = self._round(step)
            gone = (found,) if found else ()
            deletes = (DeleteRound(r.metadata.name, r.metadata.uid) for r in gone)
            return self._go(State.FAILED, *deletes, message=message)
        if self.run.summary is None:
            return self._go(State.PLANNING, *self._start_job("begin"))
        trouble = "" if agent.is_ready else agent.message or "it is not ready"
        found = self._round(step)
        if found is None:
            create = self._create_round(agent, step)
            if agent.is_outdated:
                trouble = trouble or "its pod is replaced first"
            return self._go(State.PROBING, *create, message=trouble)
        if is_complete(found):
            return self._go(State.PLANNING, *self._conclude(step))
        trouble = trouble or find_trouble(found)
        return self._go(State.PROBING, *self.steer(found, agent), message=trouble)

    @property
    def run(self) -> RunView:
        """What the store has of the run."""
        return self.seen.runs.get(self.member.name, RunView())

    @property
    def _agent(self) -> AgentView | None:
        return self.view(self.member)

    def view(self, member: Member) -> AgentView | None:
        """Return an agent, if it still serves the measurement from the same node."""
        view = self.seen.agents.get(member.name)
        if view is None:
            return None
        now, then = view.agent.spec, member.agent.spec
        namespace, allowed = self.seen.measurement.key[0], now.allowed_namespaces
        serves = allowed is None or namespace in allowed
        return view if serves and now.node_name == then.node_name else None

    def _name(self, suffix: str) -> str:
        return name_step(self.seen.measurement, self.member.name, suffix)

    def _round(self, step: Step) -> Round | None:
        name = name_round(self.seen.measurement, self.member.name, step)
        return self.seen.rounds.get(name)

    def rounds(self, step: Step) -> list[Round]:
        """Return the Rounds of a step."""
        found = self._round(step)
        return [found] if found else []

    def _job(self, suffix: str) -> JobView | None:
        return self.seen.jobs.get(self._name(suffix))

    def _find_job_failure(self) -> str:
        """Return why the run can't go on without its Jobs, or nothing if it can."""
        if self.run.has_nothing:
            return describe_nothing(find_coverage(self.run.targets))
        for suffix in ("begin", str(self.run.step)):
            job = self._job(suffix)
            if job and job.is_failed:
                return f"Job {job.name}: {job.message}"
        return ""

    def _find_failure(self, step: Step) -> str:
        """Return why a step can't be probed, or nothing if it can."""
        found = self._round(step)
        return tell_failure(found) if found else ""

    def _start_job(self, suffix: str, *more: str) -> Iterator[Action]:
        job = self._job(suffix)
        if job is not None:
            # The Job says it is complete, but its work is not in the store: repeat it.
            if job.is_complete:
                yield DeleteJob(job.name, job.uid)
            return
        metadata = self.seen.measurement.metadata
        where = ("--measurement", metadata.uid)
        which = ("--run-id", self.seen.measurement.spec.run_id)
        word = "begin" if suffix == "begin" else "conclude"
        yield CreateJob(
            self._name(suffix),
            (word, *where, *which, "--agent", self.member.name, *more),
            agent=self.member.name,
            replies=self._replies if word == "conclude" else 0,
        )

    @property
    def _replies(self) -> int:
        """How many replies the run has, as far as agents say."""
        run = self.run
        current = self.rounds(run.step) if run.step else []
        concluded = sum(outcome.replies for outcome in run.outcomes.values())
        return concluded + sum(each.status.replies_received or 0 for each in current)

    def _conclude(self, step: Step, *more: str) -> Iterator[Action]:
        yield from self._start_job(str(step), "--step", str(step), *more)

    def _create_round(self, agent: AgentView, step: Step) -> Iterator[Action]:
        summary = self.run.summary
        if summary and not agent.is_outdated and not self.seen.measurement.spec.suspend:
            yield CreateRound(agent.agent, step, summary, self.find_rate(agent))

    def steer(self, found: Round, agent: AgentView) -> Iterator[Action]:
        """Give a Round the rate of its agent, and suspend it with the measurement."""
        suspend = self.seen.measurement.spec.suspend
        rate = self.find_rate(agent)
        if (found.spec.rate, found.spec.suspend) != (rate, suspend):
            yield ChangeRound(found.metadata.name, rate, suspend)

    def find_rate(self, agent: AgentView) -> int:
        """Return the rate that an agent may have, in probes a second."""
        entries = self.seen.measurement.spec.agents
        entry = next((e for e in entries if e.name == self.member.entry), None)
        policy = self.seen.policy
        if policy is None and self.seen.roster:
            # Agents send nothing without a policy, whatever their rate.
            policy = self.seen.roster.policy
        if entry is None or policy is None:
            raise ValueError("the run has no policy, or its agent no entry")
        return choose_rate(agent.agent, entry, policy)

    def _cut(self, step: Step, age: float) -> Course:
        """Stop an agent, and conclude the step with what it stored."""
        found = self._round(step)
        message = "it took longer than it may"
        if found is None:
            return self._go(State.CUT, message=message)
        if has_stored(found, age):
            job = self._conclude(step, "--last")
            return self._go(State.PLANNING, *job, message=message)
        if found.spec.suspend:
            return self._go(State.PROBING, message=message)
        change = ChangeRound(found.metadata.name, found.spec.rate, suspend=True)
        return self._go(State.PROBING, change, message=message)

    def _tidy(self) -> Iterator[Action]:
        """Remove what is over and recorded, except what people may want to look at."""
        for step in list(self.run.outcomes)[:-_KEPT_ROUNDS]:
            for each in self.rounds(step):
                yield DeleteRound(each.metadata.name, each.metadata.uid)
        done = [str(step) for step in self.run.outcomes]
        if done or self.run.summary:
            done.append("begin")
        for suffix in done:
            job = self._job(suffix)
            if job and job.is_complete and not job.expires:
                yield ExpireJob(job.name, JOB_SECONDS)

    def _go(self, state: State, *actions: Action, message: str = "") -> Course:
        run = self.run
        current = self.rounds(run.step) if run.step else []
        probes = sum(outcome.probes for outcome in run.outcomes.values())
        return Course(
            member=self.member,
            state=state,
            message=message,
            step=run.step or max(run.outcomes, default=FIRST),
            probes=probes + sum(each.status.probes_sent or 0 for each in current),
            replies=self._replies,
            run=run,
            agents=self._find_troubles(state, message),
            actions=actions,
        )

    def _find_troubles(
        self,
        state: State,  # noqa: ARG002 (of teams)
        message: str,
    ) -> Mapping[str, str]:
        """Return the agents that probe, each with what is wrong with it."""
        return {self.member.name: message}


def tell_failure(found: Round) -> str:
    """Return why the agent has failed a Round, as it says; nothing if it has not."""
    failed = next((c for c in found.status.conditions if c.type == "Failed"), None)
    if failed and failed.status == "True":
        return f"Round {found.metadata.name}: {failed.message}"
    return ""


def find_trouble(found: Round) -> str:
    """Return what keeps the agent from probing a Round, as the agent says."""
    for condition in found.status.conditions:
        waits = condition.reason in {"Pending", "Suspended", "Storing"}
        if condition.type == "Ready" and condition.status == "False" and not waits:
            return condition.message or condition.reason
    return ""


def is_complete(found: Round) -> bool:
    """Return whether an agent says that it has probed a Round to its end."""
    return any(
        c.type == "Complete" and c.status == "True" for c in found.status.conditions
    )


def has_stored(found: Round, age: float) -> bool:
    """Return whether an agent told to stop so long ago has stored what it will."""
    return is_complete(found) or is_stopped(found) or age > CUT_SECONDS


def is_stopped(found: Round) -> bool:
    """Return whether an agent that was told to stop has, and has stored its parts."""
    return found.spec.suspend and any(
        c.type == "Ready" and c.status == "False" and c.reason == "Suspended"
        for c in found.status.conditions
    )
