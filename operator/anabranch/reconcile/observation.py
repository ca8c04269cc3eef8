"""What the operator observes of a measurement, and the actions that it can take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from anabranch.api import Agent, Measurement, Round, TargetList
    from anabranch.api.connections import Standing
    from anabranch.api.measurementstatus import MeasurementStatus
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.manifests.rounds import Share
    from anabranch.reconcile.views import JobView
    from anabranch.rounds.division import HandOut
    from anabranch.rounds.outcome import Outcome, PlanSummary
    from anabranch.rounds.shortfall import TargetCounts
    from anabranch.runs.account import Charge
    from anabranch.runs.report import Findings, ProbeCount
    from anabranch.runs.roster import Roster


@dataclass(frozen=True)
class AgentView:
    """An agent, with the state of its pod."""

    agent: Agent
    is_ready: bool
    message: str
    """Why it is not ready."""
    is_outdated: bool
    """Whether its pod is to be replaced, once its Rounds have ended."""

    @property
    def reason(self) -> str:
        """The reason of the Agent's condition Ready."""
        ready = self.agent.find_condition("Ready")
        return ready.reason if ready else "not looked at yet"


@dataclass(frozen=True)
class RunView:
    """The progress of an agent's run, as the store shows it."""

    outcomes: Mapping[Step, Outcome] = field(default_factory=dict)
    """The outcomes of the concluded steps, in order."""
    summary: PlanSummary | None = None
    """The summary of the current step's plan, if the plan is made."""
    targets: TargetCounts | None = None
    """How many targets are probed and why others are not, once that is known."""
    hand_outs: tuple[HandOut, ...] = ()
    """What was handed out of the current step to the members of a team."""
    unfinished: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """The blocks that members left though they said otherwise, by the number of the
    hand-out."""
    keepers: Mapping[int, str] = field(default_factory=dict)
    """The member that each block belonged to in the step before."""

    @property
    def has_nothing(self) -> bool:
        """Whether there is no target to probe."""
        return self.targets is not None and not self.targets.probed

    @property
    def last(self) -> Outcome | None:
        """The outcome of its last step so far."""
        return self.outcomes[max(self.outcomes)] if self.outcomes else None

    @property
    def step(self) -> Step | None:
        """The step that comes next, or is under way; none once the run has ended."""
        if self.last is None:
            return FIRST
        return self.last.next_step


@dataclass(frozen=True)
class Budget:
    """What the namespace of a measurement may send on a day, and what is left of it."""

    namespace: str
    day: date
    limit: int
    """The probes that it may send on the day."""
    used: int
    """The probes that it was charged."""
    paid: Mapping[str, int]
    """Up to which of its probes each Round was charged on the day, by name."""
    kept: int = 0
    """The probes that are kept for measurements that have waited longer."""

    @property
    def left(self) -> int:
        """The probes that the measurement may still send."""
        return self.limit - self.used - self.kept

    def tell(self, lacking: int = 1) -> str:
        """Return why so many probes may not be sent, and when they may."""
        kept = f", and keeps {self.kept:,} for runs that have waited longer"
        return (
            f"namespace {self.namespace!r} has used {self.used:,} of {self.limit:,} "
            f"probes of {self.day} (UTC){kept if self.kept else ''}; this takes "
            f"{lacking:,} more, and goes on at 00:00 UTC, or when an admin raises "
            "maxProbesPerDay of the ProbingPolicy"
        )


@dataclass(frozen=True)
class RunCount:
    """The runs of the namespace of a measurement, besides its own."""

    namespace: str
    limit: int
    """The most runs that may be under way at once."""
    under_way: int
    ahead: int
    """The runs that wait for their quota, and have waited longer."""

    def tell(self) -> str:
        """Return why another run may not start, and when it may."""
        ahead = f", and {self.ahead} that have waited longer come first"
        return (
            f"namespace {self.namespace!r} has {self.under_way} of {self.limit} runs "
            f"under way{ahead if self.ahead else ''}; it starts when one has ended, or "
            "when an admin raises maxConcurrentRuns of the ProbingPolicy"
        )


@dataclass(frozen=True)
class Observation:
    """Everything that a decision about a measurement depends on."""

    measurement: Measurement
    now: datetime
    policy: ProbingPolicySpec | None
    agents: Mapping[str, AgentView]
    """The agents that it chooses now, or chose when it started, by name."""
    lists: Mapping[str, TargetList]
    """The target lists of the measurement's namespace, by name."""
    unchecked: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Those of its lists whose status is not of what they hold now."""
    rounds: Mapping[str, Round]
    """The Rounds of the measurement, including those of earlier runs, by name."""
    jobs: Mapping[str, JobView]
    """The Jobs of the measurement, including those of earlier runs, by name."""
    subject: Measurement | None = None
    """The Measurement whose interfaces it compares, if there is one."""
    roster: Roster | None = None
    """The roster of this run or rehearsal, once the store has it."""
    runs: Mapping[str, RunView] = field(default_factory=dict)
    """The progress of the run, by agent."""
    unable_since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when agents that take part are seen unable to probe, by name."""
    counts: Mapping[str, ProbeCount] = field(default_factory=dict)
    """What each agent would send, by agent; only for a dry run."""
    findings: Findings | None = None
    """What all agents found, once the results are gathered."""
    budget: Budget | None = None
    """What its namespace may send today, if that is limited."""
    run_count: RunCount | None = None
    """The runs of its namespace, if their number is limited."""

    @property
    def part(self) -> str:
        """The name of this spec's rehearsal, which no other rehearsal or run has."""
        return f"+dry{self.measurement.metadata.generation}"


@dataclass(frozen=True)
class PutRoster:
    """An action that fixes who takes part."""

    roster: Roster
    part: str = ""
    """The name of a rehearsal; empty for the run."""


@dataclass(frozen=True)
class PutAnnotations:
    """An action that puts beside a run what ConfigMaps say about addresses."""


@dataclass(frozen=True)
class CreateJob:
    """An action that starts a Job."""

    name: str
    arguments: tuple[str, ...]
    agent: str = ""
    """The agent whose run the Job works on."""
    replies: int = 0
    """How many replies it looks at, where pods can share the work."""


@dataclass(frozen=True)
class PutCharge:
    """An action that charges the namespace; those after it depend on it."""

    day: date
    charge: Charge
    limit: int | None
    """The probes that the namespace may send on the day; None if these are sent."""


@dataclass(frozen=True)
class CreateRound:
    """An action that makes an agent probe a step."""

    agent: Agent
    step: Step
    summary: PlanSummary
    rate: int
    share: Share | None = None
    """What of a team's step it probes."""


@dataclass(frozen=True)
class CreateStandingRound:
    """An action that makes an agent serve a standing measurement."""

    agent: Agent
    standing: Standing
    rate: int


@dataclass(frozen=True)
class PutHandOut:
    """An action that hands out blocks of a step to a member of a team."""

    team: str
    step: Step
    number: int
    """The number of hand-outs before it."""
    hand_out: HandOut


@dataclass(frozen=True)
class ChangeRound:
    """An action that changes the rate of a Round, or whether it is probed."""

    name: str
    rate: int
    suspend: bool


@dataclass(frozen=True)
class DeleteRound:
    """An action that removes a Round."""

    name: str
    uid: str


@dataclass(frozen=True)
class DeleteJob:
    """An action that removes a Job and its pods."""

    name: str
    uid: str


@dataclass(frozen=True)
class ExpireJob:
    """An action that makes Kubernetes remove a finished Job after some seconds."""

    name: str
    seconds: int


Action = (
    PutRoster
    | PutAnnotations
    | CreateJob
    | PutCharge
    | CreateRound
    | CreateStandingRound
    | PutHandOut
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
    wanted: tuple[int, ...] = ()
    """The probes that its Rounds lack, and that the day may not have."""
