"""One agent's run, step by step."""

from __future__ import annotations

import enum
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.local.assignment import start_or_resume
from anabranch.local.probing import EVERY_SECONDS, Probing, Task
from anabranch.local.team import Team
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

    from anabranch_engine import Plan, Prober, Statistics

    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.rounds.outcome import Outcome
    from anabranch.runs.assignment import Assignment
    from anabranch.store.directory import DirectoryStore
    from anabranch.warehouse.engine import Engine
    from anabranch.warehouse.parts import PartCounts


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
    missing_links: float | None = None
    """The links that it is expected to have missed, as in ``Outcome``."""
    rate: float = 0
    """The recent rate, in probes a second."""
    pace: float = 0
    """The same, in units a second."""
    coverage: Coverage = field(default_factory=lambda: find_coverage(None))
    """How much of the request the finished steps cover."""
    lost: dict[str, str] = field(default_factory=dict)
    """Why members of a team failed whose work others took over, by name."""
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
    _probing: Probing = field(init=False)

    def __post_init__(self) -> None:
        self._probing = Probing(self.assignment.record, self.store)

    def stop(self) -> None:
        """Stop sending; wait for replies as usual, and close the parts meanwhile."""
        self._probing.stop()

    def obey(self, policy: ProbingPolicySpec | None) -> None:
        """Obey a policy from now on; send nothing without one or if it says stop."""
        self._probing.obey(policy)

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
            before = Step.parse(outcomes[-1].step) if outcomes else None
            self._probe(step, job.read_plan(step), before)
            if self._probing.stopped.is_set():
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
        self.progress.missing_links = outcomes[-1].missing_links
        self.progress.coverage = find_coverage(counts, outcomes)
        return outcomes[-1].next_step

    def _probe(self, step: Step, plan: Plan, before: Step | None) -> None:
        record, progress = self.assignment.record, self.progress
        keys = record.keys.step(step)
        progress.planned = plan.units
        earlier = count_parts(self.store, keys)
        meter = _Meter(progress, earlier)
        progress.state = State.PROBING
        if record.members:
            team = Team(self._probing, step, plan, before, meter.note)
            team.run()
            progress.lost |= {name: str(why) for name, why in team.failures.items()}
        else:
            self._probing.probe(record.agent, Task(step, plan), meter.note)
        stored = count_parts(self.store, keys)
        meter.end(stored)


@dataclass
class _Meter:
    """Sums what probers tell of a step into the progress of the agent."""

    progress: Progress
    earlier: PartCounts
    """What the parts had when the probers began."""
    _told: dict[Prober, Statistics] = field(default_factory=dict)
    _before: int = field(init=False)
    """The number of replies of earlier steps."""
    _last: tuple[float, int, int] = field(init=False)
    """When the rates were last taken, and the probes and units then."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._before = self.progress.replies
        self._last = (time.monotonic(), 0, 0)
        self._show()

    def note(self, prober: Prober, statistics: Statistics) -> None:
        """Take up what a prober tells."""
        with self._lock:
            self._told[prober] = statistics
            if all(each.is_silent for each in self._told):
                self.progress.state = State.WAITING
            else:
                self.progress.state = State.PROBING
            self._show()

    def end(self, stored: PartCounts) -> None:
        """Show what the parts have at the end."""
        self.progress.rate = self.progress.pace = 0
        self.progress.step_sent = stored.probes
        self.progress.replies = self._before + stored.replies

    def _show(self) -> None:
        progress, earlier = self.progress, self.earlier
        sent = sum(each.sent for each in self._told.values())
        replies = sum(each.replies for each in self._told.values())
        further = sum(each.further for each in self._told.values())
        done, done_before = sent - further, earlier.probes - earlier.further
        if progress.unit is Unit.DESTINATION:
            done = sum(each.traced for each in self._told.values())
            done_before = earlier.traced
        progress.step_sent = earlier.probes + sent
        progress.done = done_before + done
        progress.replies = self._before + earlier.replies + replies
        now, (then, sent_then, done_then) = time.monotonic(), self._last
        if now - then >= EVERY_SECONDS:
            progress.rate = (sent - sent_then) / (now - then)
            progress.pace = (done - done_then) / (now - then)
            self._last = (now, sent, done)
