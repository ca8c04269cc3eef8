"""`TargetList`: what to probe."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.model import Model, Rule
from anabranch.api.resource import (
    AGE,
    Column,
    Resource,
    Status,
    condition_column,
)
from anabranch.api.text import (
    TTLS_IN_ORDER,
    Count,
    Digest,
    DnsSubdomain,
    ObjectKey,
    Prefix,
    Ttl,
)

SOURCES = ("entries", "configMap", "object", "file")


class TargetEntry(Model):
    """One prefix to probe, like a line of Iris's target lists."""

    rules = (
        TTLS_IN_ORDER,
        Rule(
            lambda entry: (
                entry.protocol == "udp"
                or ip_network(entry.target).version
                == (4 if entry.protocol == "icmp" else 6)
            ),
            "self.protocol == 'udp' || "
            "self.target.contains(':') == (self.protocol == 'icmp6')",
            "protocol icmp goes with IPv4 targets and icmp6 with IPv6 ones",
        ),
    )

    target: Prefix
    """A prefix or an address. A bare IPv4 address stands for its /24, or for itself if
    the tool splits targets to addresses. A bare IPv6 address stands for itself."""
    protocol: Literal["icmp", "icmp6", "udp"] = "udp"
    """The protocol of the probes."""
    min_ttl: Ttl = 2
    """The first TTL to probe."""
    max_ttl: Ttl = 32
    """The last TTL to probe, inclusive."""
    n_initial_flows: Annotated[int, Field(ge=1, le=65535)] = 6
    """The number of flows to send at each TTL in the first round."""


class ConfigMapKey(Model):
    """A key of a ConfigMap in the list's namespace."""

    name: DnsSubdomain
    """The ConfigMap's name."""
    key: Annotated[str, Field(max_length=253, pattern="^[-._a-zA-Z0-9]+$")] = (
        "targets.csv"
    )
    """The key that holds the CSV: under `data`, or under `binaryData` if compressed
    with zstd."""


class ObjectRef(Model):
    """An object in the object store."""

    key: ObjectKey
    """The object's key. The object is CSV, plain or compressed with zstd."""


class TargetListSpec(Model):
    """Where the targets come from."""

    rules = (
        Rule(
            # All fields of the spec are sources.
            lambda spec: sum(value is not None for _, value in spec) == 1,
            "["
            + ", ".join(f"has(self.{source})" for source in SOURCES)
            + "].filter(given, given).size() == 1",
            f"give exactly one of {', '.join(SOURCES)}",
        ),
        Rule(
            lambda _: True,
            "!has(self.file)",
            "file is for the local runner: a cluster can't see it; put the list into a "
            "ConfigMap or the object store",
        ),
    )

    entries: Annotated[
        tuple[TargetEntry, ...] | None, Field(min_length=1, max_length=1000)
    ] = None
    """The targets, inline."""
    config_map: ConfigMapKey | None = None
    """The targets as CSV in a ConfigMap."""
    object: ObjectRef | None = None
    """The targets as CSV in the object store."""
    file: Annotated[str | None, Field(max_length=4096, pattern="^[^\\x00]+$")] = None
    """The targets as CSV in a file beside the manifest; for the local runner only."""

    @property
    def source(self) -> str:
        """The name of the source that is given."""
        fields = type(self).model_fields.items()
        return next(
            str(field.alias)
            for name, field in fields
            if getattr(self, name) is not None
        )


class ListProblem(Model):
    """An invalid line of the list."""

    line: Annotated[int, Field(ge=1)]
    """The line's number."""
    reason: Annotated[str, Field(max_length=1024)]
    """What is wrong, and the remedy."""


class TargetListStatus(Status):
    """The content of the list."""

    digest: Digest | None = None
    """The SHA-256 of the canonical list, by which measurements pin it."""
    lines: Count | None = None
    """The number of lines read."""
    entries: Count | None = None
    """The number of entries, after repeated ones are merged."""
    prefixes: Count | None = None
    """The number of targets after a split to /24 (IPv4) and /64 (IPv6), before
    exclusions."""
    problems: Annotated[tuple[ListProblem, ...], Field(max_length=100)] = ()
    """The first invalid lines. The list is used only if there are none."""
    problem_count: Count | None = None
    """The number of invalid lines."""


class TargetList(Resource):
    """A list of prefixes to probe, and how."""

    plural = "targetlists"
    short_names = ("tl",)
    columns = (
        condition_column("Ready"),
        Column("Prefixes", ".status.prefixes", "integer"),
        condition_column("Ready", field="reason", name="Reason"),
        AGE,
        Column("Digest", ".status.digest", wide=True),
    )

    spec: TargetListSpec
    """Where the targets come from."""
    status: TargetListStatus = TargetListStatus()
    """The content of the list; written by the operator."""
