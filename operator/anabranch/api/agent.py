"""`Agent`: one vantage point."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api.model import Model, Rule, Transition
from anabranch.api.policy import PrefixList
from anabranch.api.resource import AGE, Column, Resource, Status, condition_column
from anabranch.api.text import (
    TTLS_IN_ORDER,
    AddressV4,
    AddressV6,
    Count,
    DnsLabel,
    DnsSubdomain,
    Rate,
    SocketPath,
    Ttl,
    WaitSeconds,
)


class AgentSpec(Model):
    """Where the agent runs and what it may do."""

    rules = (TTLS_IN_ORDER,)
    transitions = (
        Transition(
            lambda old, new: old.node_name == new.node_name,
            "self.nodeName == oldSelf.nodeName",
            "nodeName can't change: make another Agent for the other node",
        ),
    )

    node_name: DnsSubdomain
    """The Kubernetes node that the agent runs on."""
    max_probing_rate: Rate = 1000
    """The highest rate of the agent over all measurements, in probes a second."""
    min_ttl: Ttl = 1
    """The lowest TTL that the agent may probe. Raise it to spare the site's own
    routers."""
    max_ttl: Ttl = 255
    """The highest TTL that the agent may probe."""
    interface: Annotated[
        str | None, Field(max_length=15, pattern="^[!-.0-~]*[!-\\-0-~][!-.0-~]*$")
    ] = None
    """The interface that sends probes; by default the one that has the route."""
    source_address_v4: AddressV4 | None = None
    """The IPv4 source address of probes; by default the interface's."""
    source_address_v6: AddressV6 | None = None
    """The IPv6 source address of probes; by default the interface's."""
    wait_seconds: WaitSeconds = 5
    """How long the agent waits for replies after the last probe of a round, in
    seconds."""
    event_socket: SocketPath | None = None
    """The path on the node of the socket at which M-Lab's tcp-info tells of TCP
    connections. The agent's pod sees the folder that it is in."""
    annotation_socket: SocketPath | None = None
    """The path on the node of the socket at which M-Lab's uuid-annotator tells what is
    known about addresses. The agent's pod sees the folder that it is in."""
    exclusions: PrefixList = ()
    """Networks that this agent never probes, besides those of the policy."""
    allow_reserved: bool = False
    """Whether the agent may probe space that is not globally reachable. The policy must
    allow it too."""
    # Replaced as a whole, as the policy's allow list is: [] must stay [].
    allowed_namespaces: Annotated[
        tuple[DnsLabel, ...] | None, Field(max_length=1000)
    ] = None
    """The namespaces whose measurements the agent serves; by default all."""


class AgentStatus(Status):
    """The state of an agent."""

    pod_name: str | None = None
    """The pod that runs the agent."""
    version: str | None = None
    """The version of the agent's program."""
    active_rounds: Count | None = None
    """The number of rounds that the agent is probing now."""


class Agent(Resource):
    """One vantage point: a node that probes."""

    rules = (
        Rule(
            lambda agent: len(agent.metadata.name) <= 63,  # noqa: PLR2004 (a label's)
            "size(self.metadata.name) <= 63",
            "an Agent's name must have at most 63 characters: it becomes a label",
        ),
    )

    plural = "agents"
    short_names = ("agt",)
    columns = (
        condition_column("Ready"),
        Column("Node", ".spec.nodeName"),
        Column("Rate", ".spec.maxProbingRate", "integer"),
        Column("Rounds", ".status.activeRounds", "integer"),
        condition_column("Ready", field="reason", name="Reason"),
        AGE,
        Column("Version", ".status.version", wide=True),
    )

    spec: AgentSpec
    """Where the agent runs and what it may do."""
    status: AgentStatus = AgentStatus()
    """The state of the agent; written by the operator."""
