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
    Prefix,
    Ttl,
    UserKey,
)

PLACES = ("configMap", "object", "file")
"""The fields that name a place with the content of a list."""

SOURCES = ("entries", *PLACES, "routes")


def _give_one(sources: tuple[str, ...]) -> Rule:
    """Return the rule for models that need exactly one of these fields."""
    return Rule(
        lambda model: (
            sum(
                getattr(model, name) is not None
                for name, field in type(model).model_fields.items()
                if field.alias in sources
            )
            == 1
        ),
        "["
        + ", ".join(f"has(self.{source})" for source in sources)
        + "].filter(given, given).size() == 1",
        f"give exactly one of {', '.join(sources)}",
    )


_NO_FILE = Rule(
    lambda _: True,
    "!has(self.file)",
    "file is for the local runner: a cluster can't see it; put the list into a "
    "ConfigMap or the object store",
)


class TargetEntry(Model):
    """One prefix to probe, like a line of Iris's target lists."""

    rules = (
        TTLS_IN_ORDER,
        Rule(
            lambda entry: (
                entry.protocol not in {"icmp", "icmp6"}
                or ip_network(entry.target).version
                == (4 if entry.protocol == "icmp" else 6)
            ),
            "!self.protocol.startsWith('icmp') || "
            "self.target.contains(':') == (self.protocol == 'icmp6')",
            "protocol icmp goes with IPv4 targets and icmp6 with IPv6 ones",
        ),
    )

    target: Prefix
    """A prefix or an address. A bare IPv4 address stands for its /24, or for itself if
    the tool splits targets to addresses. A bare IPv6 address stands for itself."""
    protocol: Literal["icmp", "icmp6", "udp", "tcpSyn", "tcpAck"] = "udp"
    """The protocol of the probes. A list has tcpSyn or tcpAck, not both; these go to
    port 80."""
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


class RoutesKey(ConfigMapKey):
    """A key of a ConfigMap in the list's namespace, with a table of routes."""

    key: Annotated[str, Field(max_length=253, pattern="^[-._a-zA-Z0-9]+$")] = (
        "routes.pfx2as"
    )
    """The key that holds the table: under `data`, or under `binaryData` if it is
    compressed or a RIB dump."""


class ObjectRef(Model):
    """An object in the object store."""

    key: UserKey
    """The object's key."""


class Routes(Model):
    """What networks route: all that a table of routes leads to.

    The table is CAIDA's prefix2as or an MRT RIB dump (RouteViews, RIS), plain or
    compressed with gzip or bzip2. A tool splits what is routed as any list: to /24s if
    its prefixLenV4 is 24. IPv6 targets are /48s, and need prefixLenV6 48.
    """

    rules = (
        _give_one(PLACES),
        _NO_FILE,
        TTLS_IN_ORDER,
        Rule(
            lambda routes: routes.min_len_v4 <= routes.max_len_v4,
            "self.minLenV4 <= self.maxLenV4",
            "minLenV4 must not be above maxLenV4",
        ),
        Rule(
            lambda routes: routes.min_len_v6 <= routes.max_len_v6,
            "self.minLenV6 <= self.maxLenV6",
            "minLenV6 must not be above maxLenV6",
        ),
    )

    config_map: RoutesKey | None = None
    """The table in a ConfigMap."""
    object: ObjectRef | None = None
    """The table in the object store."""
    file: Annotated[str | None, Field(max_length=4096, pattern="^[^\\x00]+$")] = None
    """The table in a file beside the manifest; for the local runner only."""
    family: Literal["ipv4", "ipv6"] | None = None
    """The family whose routes count; by default both do."""
    min_peers: Annotated[int, Field(ge=1, le=65535)] = 1
    """How many peers of a RIB dump must have a route to a prefix. A prefix2as does not
    say how many have, so it must be 1 for that."""
    min_len_v4: Annotated[int, Field(ge=1, le=32)] = 8
    """The length of the shortest IPv4 prefixes that count. Shorter ones are default
    routes and their halves."""
    max_len_v4: Annotated[int, Field(ge=1, le=32)] = 24
    """The length of the longest IPv4 prefixes that count. One longer than a /24 stands
    for its /24."""
    min_len_v6: Annotated[int, Field(ge=1, le=128)] = 16
    """The length of the shortest IPv6 prefixes that count."""
    max_len_v6: Annotated[int, Field(ge=1, le=128)] = 48
    """The length of the longest IPv6 prefixes that count. One longer than a /48 stands
    for its /48."""
    samples_v6: Annotated[int, Field(ge=1, le=65536)] = 1
    """How many /48s of each IPv6 prefix are targets, the first one and others as far
    apart as they can be. A prefix with fewer has them all as targets."""
    allow_reserved: bool = False
    """Whether routes to reserved space count; for networks that nobody else reaches,
    such as simulated ones."""
    protocol: Literal["icmp", "udp", "tcpSyn", "tcpAck"] = "udp"
    """The protocol of the probes; icmp is ICMPv6 for IPv6. TCP goes to port 80."""
    min_ttl: Ttl = 2
    """The first TTL to probe."""
    max_ttl: Ttl = 32
    """The last TTL to probe, inclusive."""
    n_initial_flows: Annotated[int, Field(ge=1, le=65535)] = 6
    """The number of flows to send at each TTL in the first round."""


class TargetListSpec(Model):
    """Where the targets come from."""

    rules = (_give_one(SOURCES), _NO_FILE)

    entries: Annotated[
        tuple[TargetEntry, ...] | None, Field(min_length=1, max_length=1000)
    ] = None
    """The targets, inline."""
    config_map: ConfigMapKey | None = None
    """The targets as CSV in a ConfigMap."""
    object: ObjectRef | None = None
    """The targets as CSV in the object store, plain or compressed with zstd."""
    file: Annotated[str | None, Field(max_length=4096, pattern="^[^\\x00]+$")] = None
    """The targets as CSV in a file beside the manifest; for the local runner only."""
    routes: Routes | None = None
    """The prefixes that a table of routes leads to."""

    @property
    def place(self) -> TargetListSpec | Routes:
        """What names the place of the content, if it is not inline."""
        return self.routes or self

    @property
    def path(self) -> tuple[str, ...]:
        """The path in the manifest to the source that is given."""
        return ("spec", "routes") if self.routes else ("spec", self.source)

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
    """The number of lines read, or of routes."""
    entries: Count | None = None
    """The number of entries, after repeated ones are merged."""
    prefixes: Count | None = None
    """The number of targets after a split to /24 (IPv4) and /64 (IPv6; /48 of routes),
    before exclusions."""
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
