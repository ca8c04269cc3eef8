"""What the operator sees of a measurement, and the actions that it can take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from anabranch.api import Agent, Measurement, Round, TargetList
    from anabranch.api.measurementstatus import MeasurementStatus
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.reconcile.views import JobView
    from anabranch.rounds.outcome import Outcome, PlanSummary
    from anabranch.rounds.shortfall import TargetCounts
    from anabranch.runs.report import Findings, ProbeCount
    from anabranch.runs.roster import Roster


@dataclass(frozen=True)
class AgentView:
    """An agent."""

    agent: Agent
    is_ready: bool
    message: str
    """Why it is not."""
    is_outdated: bool
    """Whether it waits for its rounds to end, to be replaced."""

    @property
    def reason(self) -> str:
        """What is said of the Agent, in a word."""
        ready = self.agent.find_condition("Ready")
        return ready.reason if ready else "not looked at yet"


@dataclass(frozen=True)
class RunView:
    """How far the store says that an agent's run is."""

    outcomes: Mapping[Step, Outcome] = field(default_factory=dict)
    """The steps that were concluded, in order."""
    summary: PlanSummary | None = None
    """Of the current step's plan, if it is made."""
    targets: TargetCounts | None = None
    """How many targets are probed, and why not all, once that is known."""

    @property
    def has_nothing(self) -> bool:
        """Whether no target is left to be probed."""
        return self.targets is not None and not self.targets.probed

    @property
    def step(self) -> Step | None:
        """The step that comes next, or is under way; none once the run has ended."""
        if not self.outcomes:
            return FIRST
        return self.outcomes[max(self.outcomes)].next_step


@dataclass(frozen=True)
class Observation:
    """All that decisions about a measurement are made of."""

    measurement: Measurement
    now: datetime
    policy: ProbingPolicySpec | None
    agents: Mapping[str, AgentView]
    """Those that it chooses now, or chose when it started, by name."""
    lists: Mapping[str, TargetList]
    """Of the measurement's namespace, by name."""
    rounds: Mapping[str, Round]
    """Of the measurement, of earlier runs too, by name."""
    jobs: Mapping[str, JobView]
    """The same of Jobs."""
    roster: Roster | None = None
    """Of this run, once it has started."""
    runs: Mapping[str, RunView] = field(default_factory=dict)
    """By agent."""
    counts: Mapping[str, ProbeCount] = field(default_factory=dict)
    """What agents would send, by agent; of a dry run."""
    findings: Findings | None = None
    """What all agents found, once it is gathered."""

    @property
    def part(self) -> str:
        """What tells the rehearsal of a spec from those of others, and from the run."""
        return f"+dry{self.measurement.metadata.generation}"


@dataclass(frozen=True)
class PutRoster:
    """Fixes who takes part."""

    roster: Roster
    part: str = ""
    """What tells a rehearsal from the run."""


@dataclass(frozen=True)
class CreateJob:
    """Starts a Job."""

    name: str
    arguments: tuple[str, ...]
    agent: str = ""
    """Whose run it works on."""


@dataclass(frozen=True)
class CreateRound:
    """Makes an agent probe a step."""

    agent: Agent
    step: Step
    summary: PlanSummary
    rate: int


@dataclass(frozen=True)
class ChangeRound:
    """Changes how fast a Round is probed, or whether it is."""

    name: str
    rate: int
    suspend: bool


@dataclass(frozen=True)
class DeleteRound:
    """Removes a Round."""

    name: str
    uid: str


@dataclass(frozen=True)
class DeleteJob:
    """Removes a Job and its pods."""

    name: str
    uid: str


@dataclass(frozen=True)
class ExpireJob:
    """Makes Kubernetes remove a finished Job after so many seconds."""

    name: str
    seconds: int


Action = (
    PutRoster
    | CreateJob
    | CreateRound
    | ChangeRound
    | DeleteRound
    | DeleteJob
    | ExpireJob
)


@dataclass(frozen=True)
class Decision:
    """A status to write, and actions to take."""

    status: MeasurementStatus
    actions: tuple[Action, ...] = ()
    requeue_seconds: float | None = None
    """When to look again, even if nothing happens."""
