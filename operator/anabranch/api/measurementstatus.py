"""The status of a `Measurement`: the progress and the totals of its run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api.lists import Distinct
from anabranch.api.model import Model
from anabranch.api.resource import Status
from anabranch.api.text import AgentName, Count, Digest, DnsSubdomain, RunId, Timestamp

Reason = Annotated[str, Field(max_length=64, pattern="^[A-Z][A-Za-z]*$")]
"""A reason as one word, as in conditions."""


class MeasurementTotals(Model):
    """Sums over all agents and rounds of the run."""

    probes: Count = 0
    """Probes sent."""
    replies: Count = 0
    """Valid replies received."""
    nodes: Count | None = None
    """Distinct interfaces discovered; set when the run has ended."""
    links: Count | None = None
    """Distinct links discovered; set when the run has ended."""
    missing_links: Count | None = None
    """Links that load balancers are expected to have beyond those discovered, as each
    agent saw them; set when a run by rule shared has ended."""


class LeftOut(Model):
    """Targets that are left out for one reason."""

    reason: Reason
    """Why the targets are left out."""
    count: Count
    """The number of targets, over all agents."""


class TargetTotals(Model):
    """Targets of all agents of the run. A target of two agents counts twice."""

    probed: Count
    """Targets that are probed, at least in part."""
    left_out: Count
    """Targets that are not probed at all."""
    reasons: Annotated[
        tuple[LeftOut, ...], Field(max_length=16), Distinct(by="reason")
    ] = ()
    """The number of targets left out, by reason."""
    message: Annotated[str | None, Field(max_length=1024)] = None
    """How many targets are left out and why, in a sentence."""


class Shortfall(Model):
    """Something other than left-out targets that makes the run incomplete."""

    reason: Reason
    """Why the run is incomplete."""
    count: Count
    """How many probes, packets, targets or agents are concerned, over all agents."""
    message: Annotated[str, Field(max_length=256)]
    """What is missing, in a sentence."""


class AgentCounts(Model):
    """Agents of the run by state; of a team, each member."""

    total: Count = 0
    """All agents of the run."""
    running: Count = 0
    """Agents with rounds to do."""
    finished: Count = 0
    """Agents that have done all rounds."""
    failed: Count = 0
    """Agents that have failed and will not go on, or were lost when their team was
    through."""


class UnhealthyAgent(Model):
    """An agent that fails to probe as it should."""

    name: AgentName
    """The agent's name."""
    reason: Annotated[str, Field(max_length=1024)]
    """What is wrong."""


class PinnedList(Model):
    """A target list as it was when the run started."""

    name: DnsSubdomain
    """The name of the TargetList."""
    digest: Digest
    """The SHA-256 of its content."""


class Subject(Model):
    """The run whose interfaces a run of the tool aliases compares."""

    uid: Annotated[str, Field(max_length=253)]
    """The UID of its Measurement."""
    run_id: RunId
    """The name of the run."""


class Results(Model):
    """A table of results in the object store, a folder of a format, or the report."""

    name: Annotated[str, Field(max_length=63)]
    """The name of the table, such as links, or that of an output."""
    uri: Annotated[str, Field(max_length=1024)]
    """The URI of the table or report, or of the folder, which ends with a slash."""


class MeasurementStatus(Status):
    """The progress of the run."""

    run_id: RunId | None = None
    """The run that the status describes."""
    waiting_since: Timestamp | None = None
    """Since when something has kept the run from starting."""
    start_time: Timestamp | None = None
    """When the run started. From then on most of the spec is fixed."""
    completion_time: Timestamp | None = None
    """When the run ended, whether it succeeded or failed."""
    round: Count | None = None
    """The highest round that any agent has reached."""
    target_lists: Annotated[tuple[PinnedList, ...], Field(max_length=64)] = ()
    """The target lists of the run, with the content that they had at its start."""
    subject: Subject | None = None
    """The run whose interfaces are compared, as it was when this one started; of the
    tool aliases."""
    totals: MeasurementTotals | None = None
    """Sums over all agents and rounds so far."""
    targets: TargetTotals | None = None
    """How many targets are probed and left out; set when all agents' lists have been
    split."""
    shortfalls: Annotated[
        tuple[Shortfall, ...], Field(max_length=32), Distinct(by="reason")
    ] = ()
    """What else makes the run incomplete, by reason."""
    agents: AgentCounts | None = None
    """The number of agents by state."""
    agents_summary: Annotated[str | None, Field(max_length=32)] = None
    """Agents that are running or have finished, of all agents, such as 3/3."""
    unhealthy_agents: Annotated[tuple[UnhealthyAgent, ...], Field(max_length=20)] = ()
    """The first twenty agents that fail to probe as they should."""
    results: Annotated[tuple[Results, ...], Field(max_length=32)] = ()
    """The tables of results, and the outputs."""
