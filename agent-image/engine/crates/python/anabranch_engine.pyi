"""The engine: what Anabranch does per prefix, per probe and per packet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from os import PathLike
from pathlib import Path
from typing import Final, Protocol, final

__all__ = [
    "MAX_TARGETS",
    "Part",
    "Plan",
    "PrefixSet",
    "Probe",
    "Prober",
    "Reply",
    "Sample",
    "Simulation",
    "Statistics",
    "Table",
    "TargetList",
    "TargetListError",
    "Targets",
    "Trace",
    "Tracing",
    "Trial",
]

MAX_TARGETS: Final[int]
"""The most targets that one plan may have."""

class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...

class _Arrow(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class _Writes(Protocol):
    def write(self, data: bytes, /) -> int: ...

@final
class PrefixSet:
    """An immutable set of IPv4 and IPv6 addresses; the families never mix.

    Two sets are equal exactly when they hold the same addresses.
    """

    def __new__(cls, prefixes: Iterable[str] | None = None) -> PrefixSet:
        """The addresses of these prefixes or addresses.

        :raises ValueError: for the first that is neither, with the remedy.
        """

    @staticmethod
    def reserved() -> PrefixSet:
        """What is not globally reachable unicast.

        IANA's IPv4 and IPv6 Special-Purpose Address Registries, multicast, and IPv6
        outside of 2000::/3.
        """

    def __or__(self, other: PrefixSet, /) -> PrefixSet: ...
    def __ror__(self, other: PrefixSet, /) -> PrefixSet: ...
    def __invert__(self) -> PrefixSet: ...
    def __contains__(self, prefix: str, /) -> bool:
        """Whether all addresses of a prefix, or an address, are in the set."""

class TargetListError(ValueError):
    """A target list that can't be used: nothing of it is."""

    problems: list[tuple[int, str]]
    """The first hundred problems: line number from 1, and reason with remedy."""
    total: int
    """How many problems there are."""

@final
class TargetList:
    """The distinct entries of a target list, whatever the order of its source."""

    lines: int
    """The lines read, comments and repetitions included."""

    @staticmethod
    def read(file: _Reads) -> TargetList:
        """Reads Iris's CSV, plain or zstd, from a binary file to its end.

        A line is ``target,protocol,min_ttl,max_ttl,n_initial_flows``, or a comment that
        begins with ``#``.

        :raises TargetListError: with every bad line.
        """

    def __len__(self) -> int:
        """The number of entries."""

    def protocols(self) -> list[str]:
        """The names of the protocols that entries have, sorted."""

    def digest(self) -> str:
        """``sha256:`` and the SHA-256 of what ``write_csv`` writes, in hexadecimal."""

    def write_csv(self, file: _Writes) -> None:
        """Writes the entries, a line each, sorted by protocol and prefix."""

    def split(
        self,
        prefix_len_v4: int,
        prefix_len_v6: int,
        *,
        forbidden: Sequence[PrefixSet] = ...,
        limit: int = ...,
    ) -> Targets:
        """The targets, split to these prefix lengths: overlaps merged, none forbidden.

        Entries longer than the split stay whole; a bare IPv4 address stands for its
        /24, or for less where the split is finer. A target is left out when all its
        addresses are in one of the forbidden sets or another.

        :raises ValueError: when more than ``limit`` targets are left, or more than
            ``MAX_TARGETS``.
        """

@final
class Targets:
    """What is to be probed: for each protocol disjoint prefixes, sorted.

    An Arrow stream (``pyarrow.table(targets)``, polars, DuckDB, chdb) with the columns
    prefix (16 bytes, IPv4 as IPv4-mapped), prefix_len, protocol (IP protocol number),
    min_ttl, max_ttl and n_initial_flows.
    """

    def __len__(self) -> int: ...
    @property
    def excluded(self) -> list[int]:
        """Targets left out, for each forbidden set.

        A target counts for the first set with which, and with those before it, all its
        addresses are forbidden.
        """

    @property
    def partly_excluded(self) -> int:
        """Targets of which the engine passes over some forbidden addresses."""

    def beyond(self, min_ttl: int, max_ttl: int) -> tuple[int, int]:
        """Targets that ask for no TTL within these bounds, and for some beyond too."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Table:
    """A table for whoever reads Arrow streams, such as ``pyarrow.table``."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Simulation:
    """A simulated Internet, the same for the same arguments."""

    def __new__(
        cls,
        *,
        prefixes_v4: int,
        prefixes_v6: int,
        vantage_points: int,
        seed: int,
        switches: Mapping[str, float],
        topologies: Sequence[PathLike[str]] = ...,
    ) -> Simulation:
        """So many /24s and /64s, and topology files, seen from so many vantage points.

        Where there are topology files, every switch is off that is not set.

        :raises OSError: when a topology file can't be read.
        :raises ValueError: when there are more of something than fit, a switch has a
            value that it can't have, or a topology file is not one, with its line.
        """

    @property
    def destinations(
        self,
    ) -> list[tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]]:
        """Of each topology file, the destination as drawn, and as it can be probed.

        They differ where a vantage point can't send to the first, as to 127.1.1.6.
        """

    @staticmethod
    def switches() -> list[tuple[str, str, float, float]]:
        """All switches: name, help, value by default, and where everything is hard."""

    def write_truth(self, folder: PathLike[str]) -> None:
        """Writes interfaces, links and diamonds to Parquet files in a folder.

        :raises OSError: when they can't be written.
        """

    def path(
        self,
        vantage_point: int,
        destination: IPv4Address | IPv6Address,
        protocol: int,
        octets: int,
        flow_label: int = 0,
    ) -> list[tuple[str, bool]]:
        """The interfaces that a flow's packets meet, and whether they answer.

        ``octets`` are the first four behind the IP header: ports, or ICMP type, code
        and checksum. Vantage points count from 0.

        :raises ValueError: when there is no such vantage point.
        """

    def reply(
        self,
        vantage_point: int,
        destination: IPv4Address | IPv6Address,
        protocol: int,
        octets: int,
        ttl: int,
        flow_label: int = 0,
    ) -> tuple[str, str] | None:
        """What comes back to a probe, and from which address.

        The first is ``time exceeded``, ``echo``, ``port unreachable`` or ``reset``.
        Nothing is lost here, and no rate limited.

        :raises ValueError: when there is no such vantage point.
        """

    def links_of_flows(
        self,
        vantage_point: int,
        destinations: Sequence[IPv4Address | IPv6Address],
        protocol: int,
        octets: Sequence[int],
        flow_labels: Sequence[int] = ...,
    ) -> list[tuple[str, str, bool]]:
        """The links that a flow space can cross: near and far address, sorted.

        The flows are all combinations of the destinations, the first four octets behind
        the IP header and the flow labels (by default 0). With each link comes whether
        both of its ends answer. Links to hosts of prefixes are not among them.

        :raises ValueError: when there is no such vantage point.
        """

    def links_of_plan(
        self, vantage_point: int, plan: Plan
    ) -> list[tuple[str, str, bool]]:
        """The same of the flows of a plan, whatever its TTLs.

        :raises OSError: when the plan can't be read.
        :raises ValueError: when there is no such vantage point, or the plan is none.
        """

    def time_exceeded(self, vantage_point: int, plan: Plan) -> Table:
        """The time exceeded that come back to the probes of a plan, in no order.

        Those from a probed prefix itself are left out. The columns are prefix_index and
        flow (uint32), ttl (uint8) and address (uint64): an IPv4 address as it is, and
        of an IPv6 one the higher half times 0x9e3779b97f4a7c15, modulo 2^64, xor the
        lower half. Nothing is lost here, and no rate limited.

        :raises OSError: when the plan can't be read.
        :raises ValueError: when there is no such vantage point, or the plan is none.
        """

    def run(
        self, command: list[str], *, namespaces: Sequence[PathLike[str]] = ...
    ) -> tuple[int, int, int, int]:
        """Runs a command at the first vantage point, in namespaces of its own.

        Vantage points are new network namespaces, with the link ``eth0``, or those of
        these files, which get the link ``sim0`` until the command ends. Gives its exit
        code, and the packets received, replies sent and frames lost.

        :raises OSError: when the kernel does not let it, such as without root.
        :raises ValueError: when there are not as many namespaces as vantage points.
        """

@final
class Plan:
    """A probe plan in a Parquet file, cut into blocks."""

    path: Path
    """Its file."""
    blocks: int
    """How many blocks it has; they count from 0."""
    probes: int
    """How many probes it asks for."""

    def __new__(cls, path: PathLike[str]) -> Plan:
        """Opens a plan.

        :raises OSError: when the file can't be read.
        :raises ValueError: when it is no plan.
        """

    def draw(
        self, block: int, *, order: str, start: int = 0, count: int | None = None
    ) -> list[tuple[int, IPv4Address | IPv6Address, int, int, int, int, int]]:
        """The probes of a block from a slot on, in the order that someone sends them.

        Of each the slot, the destination, the protocol's number, the source and
        destination port, the TTL and the flow.

        :raises OSError: when the file can't be read.
        :raises ValueError: when it is no plan, has no such block, or a row can't be
            probed.
        """

    @staticmethod
    def write(
        path: PathLike[str],
        targets: Targets,
        *,
        initial_source_port: int,
        destination_port: int,
        flow_mapper: str,
        order_seed: int,
        seed: int | None = None,
        step: int | None = None,
        blocks: int | None = None,
    ) -> Plan:
        """Writes the plan of a first round: each target's TTLs and first flows.

        The mapper is one of diamond-miner's by its name: RandomFlowMapper with a seed,
        IntervalFlowMapper with a step from 1 to 255, ReverseByteFlowMapper or
        SequentialFlowMapper. There is a block for each 2^20 targets unless ``blocks``
        says how many. It takes 40 bytes of memory a target.

        :raises OSError: when it can't be written.
        :raises ValueError: when there is no such mapper.
        """

    def ask(self, path: PathLike[str], demands: Iterable[_Arrow]) -> Plan:
        """Writes a plan that asks for something else of the same prefixes.

        ``demands`` has a table for each block, with the columns prefix_index (uint32),
        min_ttl, max_ttl (uint8), first_flow and flow_count (uint32). Flows that no
        source port is left for are left out.

        :raises OSError: when it can't be written.
        :raises ValueError: when there is no table for a block, a column is missing, or
            a prefix is not of this plan's block.
        """

@final
class Statistics:
    """What a prober counted, since it started."""

    sent: int
    """Probes sent."""
    unsent: int
    """Probes that the kernel did not take."""
    forbidden: int
    """Probes of the plan that the limits forbid."""
    unroutable: int
    """Probes of the plan to prefixes that no route leads to through a gateway."""
    replies: int
    """Valid replies."""
    foreign: int
    """ICMP that is no reply to a probe of this kind, or one to another prober of this
    process."""
    forged: int
    """Replies whose tag is wrong: forged, damaged, or to probes of an earlier start."""
    unplanned: int
    """Replies to probes that the plan does not have, or that were not sent yet."""
    late: int
    """Replies that came after the time that is waited for them."""
    excess: int
    """Replies beyond two for each probe of a part: someone repeats them."""
    dropped: int
    """Packets that the kernel dropped unread; counted when a part ends."""
    stalled_us: int
    """Microseconds by which sending was held up."""

@final
class Part:
    """What a reply part says of itself."""

    block: int
    """The block."""
    start: int
    """The first slot."""
    end: int
    """The slot behind the last one."""
    probes: int
    """The probes that were sent for it."""
    replies: int
    """The replies in it."""
    counts: Statistics
    """What its prober had counted when it closed the part, since its start."""

    @staticmethod
    def read(tail: bytes) -> Part:
        """Reads it from the last bytes of a part's file, of which 64 KiB are enough.

        :raises ValueError: when they are not of a reply part, or too few.
        """

@final
class Prober:
    """Sends the probes of a plan, once, and keeps the replies in parts."""

    def __new__(
        cls,
        plan: Plan,
        parts: PathLike[str],
        *,
        network: PathLike[str] | None = None,
        order: str,
        round_number: int,
        rate: int,
        max_rate_per_prefix: float,
        forbidden: PrefixSet,
        min_ttl: int = 1,
        max_ttl: int = 255,
        blocks: Sequence[int] = ...,
        begin: Mapping[int, int] = ...,
        wait_seconds: float = 5.0,
        part_probes: int = 524288,
        part_seconds: float = 60.0,
        interface: str | None = None,
        sources: Sequence[IPv4Address | IPv6Address] = ...,
        contact: str = "",
    ) -> Prober:
        """A prober for the blocks of a plan, by default all.

        :param parts: the folder for reply parts; those that are there say where to go
            on.
        :param network: the file of the network namespace to probe from; by default the
            one that ``run`` is called in.
        :param order: who probes, and in which round: what the order of probes depends
            on beside the plan.
        :param round_number: the number of the round, 0 to 255, for the replies.
        :param rate: probes a second; 0 pauses.
        :param max_rate_per_prefix: the most probes a second to one prefix.
        :param forbidden: addresses that are not probed, whatever the plan says.
        :param min_ttl: the lowest TTL that is sent; ``max_ttl`` the highest.
        :param begin: the slots that the parts in the folder begin with, by their block,
            where those before them are elsewhere; by default 0.
        :param wait_seconds: how long replies are waited for, at most 6 s.
        :param part_probes: when a part ends, by probes; ``part_seconds`` by time.
        :param interface: where probes must leave; by default where the routes lead. Of
            each prefix the kernel is asked the way, once.
        :param sources: addresses to send from instead of those that the routes say.
        :param contact: for people who wonder about a probe: 256 bytes in each.
        :raises ValueError: when a time or a rate is none.
        """

    def run(
        self,
        progress: Callable[[Statistics], object] | None = None,
        every_seconds: float = 1.0,
    ) -> Statistics:
        """Probes until the plan's end or a stop, and waits for the last replies.

        Calls ``progress`` now and then. Signal handlers run meanwhile; when one of them
        or ``progress`` raises, the part at hand is closed first.

        :raises OSError: when the kernel does not let it, with the remedy.
        :raises RuntimeError: when it ran before.
        :raises ValueError: when the plan or an option can't be used.
        """

    def stop(self) -> None:
        """Stops sending, within 50 ms; also from other threads and signal handlers."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing more is sent: the last replies alone are waited for."""

    def set_rate(self, rate: int) -> None:
        """Changes the rate, in probes a second; 0 pauses."""

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Changes how many probes a second one prefix has at most.

        :raises ValueError: when it is not above 0.
        """

    def forbid(self, forbidden: PrefixSet) -> None:
        """Changes which addresses are not probed, from the next probe on."""

@final
class Trial:
    """A multipath algorithm on one topology, in the process, as Fakeroute tests it.

    All routers answer, and at once. A run fails unless the links that it finds are
    exactly those of the topology.
    """

    vertices: int
    """The number of interfaces of the topology."""
    edges: int
    """The number of links of the topology."""
    predicted: float | None
    """The probability that the MDA misses a link; None if balancing is weighted."""

    def __new__(
        cls,
        topology: PathLike[str],
        *,
        algorithm: str,
        failure_probability: float,
        phi: int,
        seed: int,
    ) -> Trial:
        """Prepares an algorithm: ``mda``, ``mdaLite`` or ``singlePath``.

        ``failure_probability`` is that of a vertex, and ``phi`` the flows of each
        vertex in the meshing test of MDA-Lite.

        :raises OSError: when the topology file can't be read.
        :raises ValueError: when it is none, with its line, or for a value out of
            bounds.
        """

    def run(self, first: int, runs: int) -> Sample:
        """Traces the destination ``runs`` times; runs are numbered from ``first``.

        Runs of different numbers are independent, and the same number gives the same.
        """

    @staticmethod
    def share_failure(failure_probability: float, branching: int) -> float:
        """The failure probability of each vertex that keeps a topology's.

        The topology has at most ``branching`` branching points.
        """

@final
class Sample:
    """Sums over some runs."""

    failures: int
    """The runs that did not find exactly the links of the topology."""
    probes: int
    """The probes sent."""
    vertices: int
    """The interfaces found."""
    edges: int
    """The links found."""
    switches: dict[str, int]
    """The runs in which MDA-Lite went over to the MDA, by reason."""

_Address = IPv4Address | IPv6Address

@final
class Reply:
    """A reply to a probe of a trace."""

    source: _Address
    """The address that it came from."""
    at_us: int
    """When the kernel received it, in microseconds since 1970."""
    rtt_us: int
    """The time since its probe was sent, in microseconds."""
    protocol: int
    """The protocol's number in its IP header."""
    kind: int
    """The ICMP type."""
    code: int
    """The ICMP code."""
    is_end: bool
    """Whether the path ends there: it is no Time Exceeded in transit."""
    ttl: int
    """The TTL that it arrived with."""
    tos: int
    """Its type of service, or traffic class."""
    identification: int
    """The identification of its IPv4 header; 0 for IPv6."""
    size: int
    """The length of the packet, in bytes."""
    quoted_ttl: int
    """The TTL that the probe had left, as an error quotes it; 0 in echo replies."""
    quoted_tos: int
    """The probe's type of service, as an error quotes it; 0 in echo replies."""
    quoted_length: int
    """The probe's length in bytes, as an error quotes it; 0 in echo replies."""
    rewritten: int
    """What an address translator rewrote in the probe: the sum of 1 for the source
    address, 2 for ports or identifier, 4 for the checksum, 8 for the identification."""
    labels: list[tuple[int, int, int, int]]
    """The MPLS label stack of the probe, outermost first: label, traffic class, bottom
    of stack, TTL."""

@final
class Probe:
    """A probe of a trace."""

    destination: _Address
    flow: int
    """The number of its flow, from 0."""
    ttl: int
    attempt: int
    """How often a probe of this flow and TTL was sent, this one included."""
    sent_us: int
    """When it was sent, in microseconds since 1970."""
    reply: Reply | None
    """The first reply to it, if one came."""

@final
class Trace:
    """A trace of one destination that has ended."""

    destination: _Address
    interface: str | None
    """The link that its probes left by; None without a route."""
    source: _Address | None
    """The address that its probes were sent from; None without a route."""
    gateway: _Address | None
    """The neighbour that its probes went to first; None without one."""
    began_us: int
    """When it began, in microseconds since 1970."""
    ended_us: int
    """When it ended, in microseconds since 1970."""
    end: str
    """``completed``, ``gap limit``, ``loop``, ``hop limit``, ``probe limit`` or
    ``refused``."""
    switch: tuple[int, str] | None
    """The TTL at which MDA-Lite went over to the MDA, and why: ``meshed``,
    ``asymmetric`` or ``unequal lengths``."""
    unsteady: list[int]
    """The TTLs at which a flow met two routers."""
    unroutable: str | None
    """Why there is no route to the destination, with the remedy."""
    probes: list[Probe]
    """The probes, by flow, TTL and attempt."""
    links: list[tuple[int, _Address | None, _Address | None]]
    """The links: the TTL of the nearer end, the nearer end and the farther one. An end
    is None for a star, and a nearer end for what lies before the first TTL."""

@final
class Tracing:
    """Traces destinations in a thread of its own, many at once.

    One thread iterates over it: it yields each `Probe` when the first reply to it
    comes, if ``live``, and each `Trace` when it has ended. Traces that go on when it is
    stopped are dropped.
    """

    def __new__(
        cls,
        destinations: Sequence[_Address],
        *,
        algorithm: str,
        failure_probability: float,
        phi: int = 2,
        protocol: str = "udp",
        first_ttl: int = 1,
        max_ttl: int = 32,
        gap_limit: int = 5,
        attempts: int = 3,
        max_probes: int = 30_000,
        rate: int,
        max_rate_per_destination: float,
        forbidden: PrefixSet,
        window: int = 1_000,
        live: bool = False,
        network: str | PathLike[str] | None = None,
        interface: str | None = None,
        sources: Sequence[_Address] = (),
        contact: str = "",
    ) -> Tracing:
        """Begin to trace.

        :param algorithm: ``mda``, ``mdaLite`` or ``singlePath``.
        :param failure_probability: the failure probability of a vertex.
        :param phi: the flows of each vertex in the meshing test of ``mdaLite``.
        :param protocol: ``udp`` or ``icmp``.
        :param gap_limit: the silent hops in a row that end a trace.
        :param attempts: the number of times that a probe without a reply is sent.
        :param max_probes: the most probes of a trace.
        :param rate: probes a second.
        :param max_rate_per_destination: probes a second to one destination.
        :param forbidden: addresses that are not probed.
        :param window: the most destinations to trace at once.
        :param network: the file of the network namespace to probe from.
        :param interface: the link to send by, instead of what the routes say.
        :param sources: the addresses to send from, at most one a family.
        :param contact: how to reach whoever probes; each probe carries it.
        :raises ValueError: when an option can't be used.
        """

    def __iter__(self) -> Tracing: ...
    def __next__(self) -> Probe | Trace:
        """Return the next event.

        :raises OSError: when the system refuses something, such as raw sockets.
        """

    def stop(self) -> None:
        """Stop sending, for good."""

    def set_rate(self, rate: int) -> None:
        """Change the rate, in probes a second; 0 pauses."""

    def forbid(self, forbidden: PrefixSet) -> None:
        """Replace the set of addresses that are not probed; traces of them end."""

    @property
    def statistics(self) -> Statistics:
        """The counts so far."""
