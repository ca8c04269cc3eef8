"""The status of a `Measurement`: how its run goes, and how much of it there is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api.lists import Distinct
from anabranch.api.model import Model
from anabranch.api.resource import Status
from anabranch.api.text import AgentName, Count, Digest, DnsSubdomain, RunId, Timestamp

Reason = Annotated[str, Field(max_length=64, pattern="^[A-Z][A-Za-z]*$")]
"""A reason in a word, as those of conditions are."""


class MeasurementTotals(Model):
    """Sums over all agents and rounds of the run."""

    probes: Count = 0
    """Probes sent."""
    replies: Count = 0
    """Valid replies received."""
    nodes: Count | None = None
    """Distinct interfaces discovered, once the run is over."""
    links: Count | None = None
    """Distinct links discovered, once the run is over."""


class LeftOut(Model):
    """Targets that are left out for one reason."""

    reason: Reason
    """Why."""
    count: Count
    """How many, over all agents."""


class TargetTotals(Model):
    """Targets of all agents of the run; one that two agents have counts twice."""

    probed: Count
    """Those that are probed, at least in part."""
    left_out: Count
    """Those that are not probed at all."""
    reasons: Annotated[
        tuple[LeftOut, ...], Field(max_length=16), Distinct(by="reason")
    ] = ()
    """Why they are left out."""
    message: Annotated[str | None, Field(max_length=1024)] = None
    """The same in a sentence."""


class Shortfall(Model):
    """What the run is short of beside targets, for one reason."""

    reason: Reason
    """Why."""
    count: Count
    """How much, over all agents."""
    message: Annotated[str, Field(max_length=256)]
    """Of what, in a sentence."""


class AgentCounts(Model):
    """Agents of the run by state."""

    total: Count = 0
    """All."""
    running: Count = 0
    """With rounds to come."""
    finished: Count = 0
    """With all rounds done."""
    failed: Count = 0
    """Given up."""


class UnhealthyAgent(Model):
    """An agent that does not do its part."""

    name: AgentName
    """Its name."""
    reason: Annotated[str, Field(max_length=1024)]
    """What is wrong."""


class PinnedList(Model):
    """A target list as it was when the run started."""

    name: DnsSubdomain
    """The TargetList."""
    digest: Digest
    """Its content."""


class Results(Model):
    """Where the results are, in the object store."""

    name: Annotated[str, Field(max_length=63)]
    """What is there, such as links."""
    uri: Annotated[str, Field(max_length=1024)]
    """Where."""


class MeasurementStatus(Status):
    """How the run goes."""

    run_id: RunId | None = None
    """The run that the status speaks of."""
    waiting_since: Timestamp | None = None
    """Since when something is in the way of a start."""
    start_time: Timestamp | None = None
    """When it started; from then on its spec is fixed."""
    completion_time: Timestamp | None = None
    """When it ended, well or not."""
    round: Count | None = None
    """The highest round that an agent is in."""
    target_lists: Annotated[tuple[PinnedList, ...], Field(max_length=64)] = ()
    """The target lists, by content."""
    totals: MeasurementTotals | None = None
    """Sums so far."""
    targets: TargetTotals | None = None
    """Targets that are probed and left out, once all agents have split their lists."""
    shortfalls: Annotated[
        tuple[Shortfall, ...], Field(max_length=32), Distinct(by="reason")
    ] = ()
    """What else keeps the run from seeing all that was asked for, by the reason."""
    agents: AgentCounts | None = None
    """Agents by state."""
    agents_summary: Annotated[str | None, Field(max_length=32)] = None
    """Agents that run or have finished, of all: 3/3."""
    unhealthy_agents: Annotated[tuple[UnhealthyAgent, ...], Field(max_length=20)] = ()
    """Agents that do not do their part; the first twenty."""
    results: Annotated[tuple[Results, ...], Field(max_length=16)] = ()
    """Where the results are."""
