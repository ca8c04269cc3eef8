"""What a standing measurement traces: the clients of TCP connections that end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.annotation import StoredSource
from anabranch.api.lists import Distinct
from anabranch.api.model import Model, Rule
from anabranch.api.text import DnsLabel, Port, Prefix
from anabranch.api.tool import Trace


class Connections(Model):
    """Whose connections make an agent trace a client, how often, and what is kept."""

    rules = (
        Rule(
            lambda given: given.source == "eventSocket" or bool(given.ports),
            "self.source == 'eventSocket' || has(self.ports) && self.ports.size() > 0",
            "source kernel takes ports: the local ports of the servers to watch",
        ),
    )

    source: Literal["kernel", "eventSocket"]
    """Who tells of connections that end: the kernel, of all TCP sockets of the agent's
    network namespace, or M-Lab's tcp-info, by the agent's `eventSocket`."""
    ports: Annotated[tuple[Port, ...], Field(max_length=64)] = ()
    """The local ports whose connections count; without any, those of all ports."""
    exclude: Annotated[tuple[Prefix, ...], Field(max_length=100), Distinct()] = ()
    """Clients that are not traced, besides those that the policy and the agent rule
    out."""
    protocol: Literal["icmp", "udp"] = "icmp"
    """The protocol of the probes; icmp stands for both ICMP and ICMPv6."""
    cache_seconds: Annotated[int, Field(ge=60, le=86_400)] = 600
    """How long a client is not traced again, counted from the start of its trace.
    Connections that end meanwhile get a copy of that trace."""
    max_traces: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """The most traces at once."""
    max_waiting: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most connections that wait for a trace. Those beyond are recorded as
    dropped."""
    max_wait_seconds: Annotated[int, Field(ge=60, le=86_400)] = 1800
    """How long a connection may wait for its trace to begin, before it is recorded as
    dropped."""
    deadline_seconds: Annotated[int, Field(ge=1, le=3600)] = 900
    """How long a trace may take. One that takes longer ends there without a result: its
    connections are recorded as dropped, and the client's next one is traced again."""
    anonymize: Literal["none", "netblock"] = "none"
    """Whether files have the clients' addresses, or instead of each address of a
    client's /24 or /64 the first one of that."""
    experiment: DnsLabel | None = None
    """The name of the service that is measured, in the names of archives; by default
    the measurement's."""
    archive_seconds: Annotated[int, Field(ge=10, le=86_400)] = 3600
    """How long traces wait, at most, until they are stored together in an archive."""


class Standing(Model):
    """What an agent does of a standing measurement."""

    connections: Connections
    """The connections whose clients it traces."""
    trace: Trace
    """How it traces them."""
    failure_probability: Annotated[float, Field(gt=0, lt=1)]
    """The highest accepted probability that a link of a branching point is missed."""
    annotate_from: Annotated[tuple[StoredSource, ...], Field(max_length=16)] = ()
    """What is known about the addresses that traces meet, the most trusted first, where
    the agent has no `annotationSocket`."""
