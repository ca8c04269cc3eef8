"""One agent's run, step by step."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from anabranch_engine import Prober

from anabranch.local.assignment import find_network, start_or_resume
from anabranch.rounds.closed import find_forbidden
from anabranch.rounds.shortfall import Coverage, TargetCounts, find_coverage
from anabranch.rounds.steps import FIRST, Step
from anabranch.rounds.tools import Unit
from anabranch.runs.chain import read_outcomes
from anabranch.runs.report import read_report
from anabranch.warehouse.damage import naming_damage
from anabranch.warehouse.job import RoundJob
from anabranch.warehouse.parts import count_parts

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Plan, Statistics

    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.rounds.outcome import Outcome
    from anabranch.runs.assignment import Assignment
    from anabranch.store.directory import DirectoryStore
    from anabranch.warehouse.engine import Engine


class State(enum.Enum):
    """What an agent is doing."""

    PLANNING = "planning"
    PROBING = "probing"
    WAITING = "waiting for replies"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class Progress:
    """The progress of an agent, which its thread writes and the display reads."""

    name: str
    state: State = State.PLANNING
    step: Step = FIRST
    unit: Unit = Unit.PROBE
    """What its plans count."""
    planned: int = 0
    """The number of units of the step."""
    done: int = 0
    """How many of them are done: probes sent, or destinations traced."""
    step_sent: int = 0
    """The number of probes that were sent in the step."""
    sent: int = 0
    """The number of probes of all finished steps."""
    replies: int = 0
    """The number of replies of all steps."""
    links: int = 0
    """The number of links found in the finished steps, each counted once."""
    rate: float = 0
    """The recent rate, in probes a second."""
    pace: float = 0
    """The same, in units a second."""
    coverage: Coverage = field(default_factory=lambda: find_coverage(None))
    """How much of the request the finished steps cover."""
    error: BaseException | None = None
    """The error that made it fail."""


@dataclass
class AgentRun:
    """A run that probes and concludes steps until none is left or it is stopped."""

    assignment: Assignment
    store: DirectoryStore
    engine: Engine
    scratch: Path
    progress: Progress
    _stop: threading.Event = field(default_factory=threading.Event)
    _prober: Prober | None = None
    _policy: ProbingPolicySpec | None = None
    """The policy in force; without one nothing is sent."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._policy = self.assignment.record.policy

    def stop(self) -> None:
        """Stop sending; wait for replies as usual, and close the parts meanwhile."""
        self._stop.set()
        if self._prober:
            self._prober.stop()

    def obey(self, policy: ProbingPolicySpec | None) -> None:
        """Obey a policy from now on; send nothing without one or if it says stop."""
        with self._lock:
            if policy == self._policy:
                return
            self._policy = policy
            if self._prober:
                self._rein(self._prober)

    def _rein(self, prober: Prober) -> None:
        """Apply the policy to a prober."""
        record, policy = self.assignment.record, self._policy
        if policy is None or policy.stop:
            prober.set_rate(0)
            return
        prober.forbid(find_forbidden(policy, record.agent.spec))
        prober.set_max_rate_per_prefix(policy.max_rate_per_prefix)
        prober.set_rate(record.choose_rate(policy))

    def run(self) -> None:
        """Go on from where the store says the run is; report errors in ``progress``."""
        try:
            with naming_damage(self.store, [self.assignment.record.keys]):
                self._run()
        except BaseException as error:  # noqa: BLE001 (the waiting thread tells)
            self.progress.error = error
            self.progress.state = State.FAILED

    def _run(self) -> None:
        progress = self.progress
        start_or_resume(self.assignment, self.store, self.scratch)
        record = self.assignment.record
        job = RoundJob(
            self.store, self.engine, record.keys, record.run_rules, self.scratch
        )
        counts = read_report(self.store, record.keys.target_counts, TargetCounts)
        progress.coverage = find_coverage(counts)
        progress.unit = self.assignment.unit
        step: Step | None = FIRST
        outcomes: list[Outcome] = []
        for done, outcome in read_outcomes(self.store, record.keys).items():
            progress.step = done
            progress.sent += outcome.probes
            progress.replies += outcome.replies
            outcomes.append(outcome)
            step = self._note(counts, outcomes)
        if step == FIRST:
            job.begin()
        while step:
            progress.step = step
            self._probe(step, job.read_plan(step))
            if self._stop.is_set():
                progress.state = State.STOPPED
                return
            progress.state = State.PLANNING
            outcome = job.conclude(step)
            progress.sent += progress.step_sent
            progress.step_sent = progress.planned = progress.done = 0
            outcomes.append(outcome)
            step = self._note(counts, outcomes)
        progress.state = State.DONE

    def _note(
        self, counts: TargetCounts | None, outcomes: list[Outcome]
    ) -> Step | None:
        """Show what the finished steps found; return the next step.

        ``outcomes`` are in the order of the steps.
        """
        self.progress.links = outcomes[-1].links
        self.progress.coverage = find_coverage(counts, outcomes)
        return outcomes[-1].next_step

    def _probe(self, step: Step, plan: Plan) -> None:
        record, progress = self.assignment.record, self.progress
        agent, policy = record.agent.spec, record.policy
        keys = record.keys.step(step)
        progress.planned = plan.units
        before = progress.replies
        earlier = count_parts(self.store, keys)
        progress.step_sent = earlier.probes
        is_traced = progress.unit is Unit.DESTINATION
        done = earlier.traced if is_traced else earlier.probes
        sources = (agent.source_address_v4, agent.source_address_v6)
        prober = self._prober = Prober(
            plan,
            self.store.path(keys.replies),
            network=find_network(record.agent),
            order=f"{record.agent.metadata.name}/{step}",
            round_number=step.round,
            rate=record.rate,
            max_rate_per_prefix=policy.max_rate_per_prefix,
            forbidden=find_forbidden(policy, agent),
            min_ttl=agent.min_ttl,
            max_ttl=agent.max_ttl,
            wait_seconds=agent.wait_seconds,
            interface=agent.interface,
            sources=[ip_address(source) for source in sources if source],
            contact=policy.contact,
        )
        with self._lock:
            self._rein(self._prober)
        if self._stop.is_set():
            return
        progress.state = State.PROBING
        sent = 0

        def note(statistics: Statistics) -> None:
            nonlocal sent
            if prober.is_silent:
                progress.state = State.WAITING
            progress.rate = (statistics.sent - sent) / _EVERY_SECONDS
            sent = statistics.sent
            progress.step_sent = earlier.probes + sent
            before_this = progress.done
            progress.done = done + (statistics.traced if is_traced else sent)
            progress.pace = (progress.done - before_this) / _EVERY_SECONDS
            progress.replies = before + earlier.replies + statistics.replies

        note(prober.run(note, _EVERY_SECONDS))
        progress.rate = progress.pace = 0
        stored = count_parts(self.store, keys)
        progress.step_sent = stored.probes
        progress.replies = before + stored.replies


_EVERY_SECONDS = 0.5
