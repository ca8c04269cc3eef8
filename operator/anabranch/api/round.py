"""`Round`: what one agent has to probe next. Only the operator creates Rounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api.connections import Standing
from anabranch.api.model import Model, Rule, Transition
from anabranch.api.resource import AGE, Column, Resource, Status, condition_column
from anabranch.api.text import (
    AgentName,
    Count,
    Digest,
    DnsSubdomain,
    ObjectKey,
    Rate,
    RunId,
    Timestamp,
    WaitSeconds,
)

ENDING = "Ending"
"""The reason of Ready once all has begun: the agent of a team may have more."""

SERVING = "Serving"
"""The reason of Ready of a standing Round, which has no end to work towards."""


class MeasurementRef(Model):
    """The measurement that the round belongs to."""

    name: DnsSubdomain
    """The measurement's name, in the round's namespace."""
    uid: Annotated[str, Field(min_length=1, max_length=63)]
    """The measurement's UID."""


class PlanRef(Model):
    """A plan in the object store."""

    rules = (
        Rule(
            lambda plan: (plan.probes is None) != (plan.destinations is None),
            "has(self.probes) != has(self.destinations)",
            "give either probes or destinations",
        ),
    )

    key: ObjectKey
    """The key of the plan's object."""
    digest: Digest
    """The SHA-256 of the plan."""
    blocks: Annotated[int, Field(ge=1, le=1 << 25)]
    """The number of blocks in the plan."""
    probes: Count | None = None
    """The number of probes in the plan, unless its targets are traced."""
    destinations: Count | None = None
    """The number of destinations in the plan that are traced."""


class RoundSpec(Model):
    """What to probe, and how fast."""

    rules = (
        Rule(
            lambda spec: (spec.plan is None) != (spec.standing is None),
            "has(self.plan) != has(self.standing)",
            "give either plan or standing",
        ),
        Rule(
            lambda spec: (
                spec.standing is None
                or ((spec.round, spec.window) == (1, 0) and spec.team is None)
            ),
            "!has(self.standing) || "
            "self.round == 1 && self.window == 0 && !has(self.team)",
            "a standing Round is round 1, and has no team",
        ),
    )

    measurement: MeasurementRef
    """The measurement that the round belongs to."""
    run_id: RunId
    """The run of the measurement."""
    agent: AgentName
    """The agent that probes the round."""
    node_name: DnsSubdomain
    """The agent's node."""
    round: Annotated[int, Field(ge=1, le=255)]
    """The round's number; all windows of Diamond-Miner's first round have number 1."""
    window: Annotated[int, Field(ge=0, le=255)] = 0
    """The window's number within the round, from 0."""
    plan: PlanRef | None = None
    """The plan of what to probe."""
    standing: Standing | None = None
    """What the agent does instead of a plan for as long as the Round is there."""
    team: AgentName | None = None
    """The team whose plan it is; without one the plan is the agent's own."""
    blocks: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=1 << 25)], ...], Field(max_length=256)
    ] = ()
    """The blocks of the plan that the agent probes; none for all of them."""
    hand_out: Count = 0
    """The number of the team's hand-out that the blocks are, from 1; 0 without a
    team."""
    rate: Rate
    """The rate that is granted to the agent, in probes a second."""
    suspend: bool = False
    """Pauses the round while true."""
    wait_seconds: WaitSeconds = 5
    """How long the agent waits for replies after the last probe, in seconds."""

    @property
    def share(self) -> float:
        """How much of the plan the agent probes, by its blocks."""
        return len(self.blocks) / self.plan.blocks if self.plan and self.blocks else 1


def _times_are_kept(old: RoundStatus, new: RoundStatus) -> bool:
    return all(
        before is None or before == after
        for before, after in (
            (old.start_time, new.start_time),
            (old.completion_time, new.completion_time),
        )
    )


class ConnectionCounts(Model):
    """What came of the connections of a standing Round, since its agent started."""

    traced: Count = 0
    """Connections that ended and have a trace of their own."""
    copied: Count = 0
    """Connections that share the trace of another one of the same client."""
    waiting: Count = 0
    """Connections that wait for a trace now."""
    dropped: Count = 0
    """Connections that were recorded without a trace."""
    last_event_time: Timestamp | None = None
    """When the source last told of a connection that ended."""


class RoundStatus(Status):
    """The progress of the round; written by the agent alone."""

    transitions = (
        Transition(
            _times_are_kept,
            "(!has(oldSelf.startTime) || self.?startTime == oldSelf.?startTime) && "
            "(!has(oldSelf.completionTime) || "
            "self.?completionTime == oldSelf.?completionTime)",
            "startTime and completionTime are set once",
        ),
    )

    start_time: Timestamp | None = None
    """When the agent sent the first probe."""
    completion_time: Timestamp | None = None
    """When the agent stored the last reply part."""
    policy_generation: Count | None = None
    """The generation of the ProbingPolicy that the agent obeys in this round."""
    block: Count | None = None
    """The block that the agent is probing now."""
    parts: Count | None = None
    """The number of reply parts stored."""
    probes_sent: Count | None = None
    """Probes sent."""
    destinations_traced: Count | None = None
    """Destinations whose traces have ended. Those that no stored part holds when the
    agent stops are traced again."""
    connections: ConnectionCounts | None = None
    """What came of connections, if the Round is standing."""
    replies_received: Count | None = None
    """Valid replies received."""
    replies_invalid: Count | None = None
    """Replies that failed validation."""
    send_errors: Count | None = None
    """Probes that the kernel refused to send."""
    receive_drops: Count | None = None
    """Packets that the kernel dropped before they were read."""


_MUTABLE = ("rate", "suspend")
_OPTIONAL = ("team", "blocks", "plan", "standing")


def _spec_is_kept(old: Round, new: Round) -> bool:
    free: dict[str, object] = dict.fromkeys(_MUTABLE)
    return old.spec.model_copy(update=free) == new.spec.model_copy(update=free)


class Round(Resource):
    """What one agent has to probe next."""

    transitions = (
        Transition(
            _spec_is_kept,
            " && ".join(
                f"self.spec.{field.alias} == oldSelf.spec.{field.alias}"
                for name, field in RoundSpec.model_fields.items()
                if name not in (*_MUTABLE, *_OPTIONAL)
            )
            + "".join(
                f" && has(self.spec.{name}) == has(oldSelf.spec.{name}) && "
                f"(!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name})"
                for name in _OPTIONAL
            ),
            "a Round is made by the operator and fixed but for rate and suspend; "
            "change the Measurement instead",
        ),
    )

    plural = "rounds"
    short_names = ("rnd",)
    columns = (
        Column("Agent", ".spec.agent"),
        Column("Round", ".spec.round", "integer"),
        condition_column("Ready"),
        condition_column("Complete"),
        Column("Sent", ".status.probesSent", "integer"),
        Column("Planned", ".spec.plan.probes", "integer"),
        Column("Traced", ".status.destinationsTraced", "integer"),
        Column("Destinations", ".spec.plan.destinations", "integer"),
        Column("Replies", ".status.repliesReceived", "integer"),
        AGE,
        condition_column("Ready", field="reason", name="Reason"),
        Column("Node", ".spec.nodeName", wide=True),
        Column("Waiting", ".status.connections.waiting", "integer", wide=True),
        Column("Dropped", ".status.connections.dropped", "integer", wide=True),
    )

    spec: RoundSpec
    """What to probe, and how fast."""
    status: RoundStatus = RoundStatus()
    """The progress of the round."""
