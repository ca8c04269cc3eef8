"""The engine: what Anabranch does per prefix, per probe and per packet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from os import PathLike
from pathlib import Path
from typing import Final, Protocol, TypeAlias, final

from typing_extensions import disjoint_base

__all__ = [
    "MAX_TARGETS",
    "AliasCounts",
    "AliasPair",
    "AliasTrial",
    "Annotation",
    "Annotations",
    "ClientTrace",
    "ClientTracing",
    "Controlled",
    "Diamond",
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
    "TraceParameters",
    "TraceReader",
    "TraceWriter",
    "Tracing",
    "Trial",
    "find_diamonds",
    "find_routers",
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
class Annotation:
    """What is known about an address; None where nothing is."""

    asn: int | None
    """The AS that originates the address's prefix; of several, the first."""
    origins: str | None
    """All origins as CAIDA writes them, if there are several or a set.

    ``_`` joins several origins, ``,`` the ASes of a set.
    """
    as_name: str | None
    """The name of the AS."""
    country: str | None
    """The country: two letters of ISO 3166."""
    ixp: str | None
    """The Internet exchange point whose peering LAN the address is in."""

@final
class Annotations:
    """What files say about addresses.

    A file is an MMDB, CAIDA's prefix2as, an MRT RIB dump, or PeeringDB's JSON, as its
    content tells. It may be compressed with gzip or bzip2. The longest prefix of a file
    that holds an address says what is known about it. Each file fills what the files
    before it left empty; AS, origins and name stay together.
    """

    def __new__(cls, files: Iterable[str | PathLike[str]]) -> Annotations:
        """Read files, the most trusted first.

        :raises ValueError: for the first file that can't be used, with the place in it
            and the remedy.
        :raises OSError: for the first file that can't be read.
        """

    def find(self, address: IPv4Address | IPv6Address) -> Annotation:
        """Return what is known about an address."""

    def annotate(self, table: _Arrow, column: str) -> Table:
        """Return what is known about the addresses in a column of a table, by row.

        The column holds 16-byte fixed-size binary, IPv4 as IPv4-mapped IPv6. The result
        has the columns asn (uint32), and origins, as_name, country and ixp
        (dictionaries of strings), with nulls where nothing is known.

        :raises ValueError: when the table has no such column.
        """

@final
class PrefixSet:
    """An immutable set of IPv4 and IPv6 addresses; the families never mix.

    Two sets are equal exactly when they hold the same addresses.
    """

    def __new__(cls, prefixes: Iterable[str] | None = None) -> PrefixSet:
        """Make a set of the addresses in these prefixes, which may be single addresses.

        :raises ValueError: for the first text that is neither, with the remedy.
        """

    @staticmethod
    def reserved() -> PrefixSet:
        """Return the addresses that are not globally reachable unicast.

        These are the blocks of IANA's IPv4 and IPv6 Special-Purpose Address Registries,
        multicast, and IPv6 outside of 2000::/3.
        """

    def __or__(self, other: PrefixSet, /) -> PrefixSet: ...
    def __ror__(self, other: PrefixSet, /) -> PrefixSet: ...
    def __invert__(self) -> PrefixSet: ...
    def __contains__(self, prefix: str, /) -> bool:
        """Return whether an address, or each address of a prefix, is in the set.

        :raises ValueError: when the text is neither.
        """

class TargetListError(ValueError):
    """An error about a target list that can't be used.

    One bad line is enough: nothing of the list is used.
    """

    problems: list[tuple[int, str]]
    """The first hundred problems: line number, from 1, and reason, with a remedy."""
    total: int
    """How many problems there are."""

@final
class TargetList:
    """The distinct entries of a target list.

    They do not depend on the order and the repetitions of their source.
    """

    lines: int
    """The number of lines or routes read, comments and repetitions included."""

    @staticmethod
    def read(file: _Reads) -> TargetList:
        """Read Iris's CSV, plain or zstd, from a binary file to its end.

        A line is ``target,protocol,min_ttl,max_ttl,n_initial_flows``, or a comment that
        begins with ``#``.

        :raises TargetListError: when the list has problems, with the first hundred.
        """

    @staticmethod
    def read_routes(
        file: _Reads,
        *,
        lengths_v4: tuple[int, int] | None,
        lengths_v6: tuple[int, int] | None,
        samples_v6: int,
        min_peers: int,
        allow_reserved: bool,
        protocol: str,
        min_ttl: int,
        max_ttl: int,
        n_initial_flows: int,
    ) -> TargetList:
        """Read a table of routes from a binary file, and list what it routes.

        It is CAIDA's prefix2as or an MRT RIB dump, plain or compressed with gzip or
        bzip2. An IPv4 target is a prefix that no other one holds; a longer one than a
        /24 stands for its /24. IPv6 targets are /48s.

        :param lengths_v4: the shortest and the longest IPv4 prefixes that count; None
            to leave IPv4 out.
        :param samples_v6: how many /48s of an IPv6 prefix are targets, as far apart as
            they can be.
        :param min_peers: how many peers must have a route to a prefix.
        :param allow_reserved: whether reserved space is not left out.
        :param protocol: a protocol of target lists; ``icmp`` is ICMPv6 for IPv6.
        :raises ValueError: when there is no such protocol, the file can't be used, or
            too much or nothing counts; with the remedy.
        """

    def __len__(self) -> int:
        """Return the number of entries."""

    def protocols(self) -> list[str]:
        """Return the names of the entries' protocols, each once, sorted."""

    def digest(self) -> str:
        """Return the SHA-256 of what ``write_csv`` writes.

        It is ``sha256:`` and 64 hexadecimal digits.
        """

    def write_csv(self, file: _Writes) -> None:
        """Write the entries to a binary file as CSV, sorted by protocol and prefix."""

    def split(
        self,
        prefix_len_v4: int,
        prefix_len_v6: int,
        *,
        forbidden: Sequence[PrefixSet] = ...,
        limit: int = ...,
    ) -> Targets:
        """Return the targets of the list, split to these prefix lengths.

        Entries longer than these stay whole. A bare IPv4 address stands for its /24, or
        for a longer prefix if ``prefix_len_v4`` is longer. Overlapping entries of one
        protocol are merged. A target is left out if each of its addresses is in at
        least one of the forbidden sets.

        :raises ValueError: when more than ``limit`` targets are left, or more than
            ``MAX_TARGETS``, or when a prefix length does not fit its family.
        """

@final
class Targets:
    """The prefixes to probe: sorted, and disjoint for each protocol.

    They are an Arrow stream (``pyarrow.table(targets)``, polars, DuckDB, chdb). Its
    columns are prefix (16 bytes, IPv4 as IPv4-mapped), prefix_len, protocol (IP
    protocol number), min_ttl, max_ttl and n_initial_flows.
    """

    def __len__(self) -> int: ...
    @property
    def excluded(self) -> list[int]:
        """The number of targets that are left out, for each forbidden set.

        A target counts for the first set for which all of its addresses are in that set
        or in those before it.
        """

    @property
    def partly_excluded(self) -> int:
        """The number of targets that have some forbidden addresses, but not only such.

        The engine passes over these addresses.
        """

    def beyond(self, min_ttl: int, max_ttl: int) -> tuple[int, int]:
        """Return how many targets have no TTL within these bounds, or only some.

        The first number is of targets with no TTL within them, the second of targets
        with TTLs within and beyond them.
        """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Table:
    """A table that readers of Arrow streams, such as ``pyarrow.table``, can read."""

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
        copies: int = 1,
        measured: Iterable[tuple[int, _Arrow, _Arrow]] | None = None,
    ) -> Simulation:
        """Make a simulation.

        :param prefixes_v4: the number of IPv4 prefixes, all /24s.
        :param prefixes_v6: the number of IPv6 prefixes, all /64s.
        :param switches: values of switches by name. A switch that is not set has its
            default value. With topology files or measured paths, it has its value for a
            network that is easy to measure instead: no disturbances, and every router
            answers.
        :param topologies: files with graphs that are simulated beside the prefixes.
        :param copies: how often each graph is there. Copies share their routers, which
            choose next hops for each copy independently.
        :param measured: what surveys found: the number of a vantage point, and two
            Arrow tables, sorted by prefix_index. The first has targets, with the
            columns prefix_index (uint32), prefix (16-byte fixed-size binary, IPv4 as
            IPv4-mapped IPv6), prefix_len, protocol and host_ttl (uint8), the TTL at
            which a host was heard, and hosts (float64), the share of addresses that
            answer. The second has the links on the way to these, each once, with the
            columns prefix_index, near_ttl (uint8), near_addr and far_addr (as prefix),
            and flows (uint64), which count if the switch ``weighted`` is above 0. A
            far_addr that is null says that there was only a router.
        :raises OSError: when a topology file can't be read.
        :raises ValueError: when there are too many prefixes, copies or vantage points,
            a switch is unknown or its value out of bounds, a topology file is not
            valid (then with the line), or a measured target holds a vantage point's
            address.
        """

    @property
    def destinations(
        self,
    ) -> list[tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]]:
        """For each copy of each topology, the destination as drawn, and as probed.

        They differ if vantage points can't send to the first, such as 127.1.1.6, and
        for each copy but the first.
        """

    @staticmethod
    def switches() -> list[tuple[str, str, float, float]]:
        """Return the name, help, default value and hostile value of each switch.

        The hostile value is for a network that is as hard to measure as can be.
        """

    def write_truth(self, folder: PathLike[str]) -> None:
        """Write interfaces, links and diamonds to Parquet files in a folder.

        :raises OSError: when they can't be written.
        """

    def path(
        self,
        vantage_point: int,
        destination: IPv4Address | IPv6Address,
        protocol: int,
        octets: int,
        labels_flows: bool = False,
    ) -> list[tuple[str, bool]]:
        """Return the interfaces that a flow's packets meet, and whether each answers.

        ``octets`` are the first four after the IP header, as a number: the ports, or
        ICMP's type, code and checksum. ``labels_flows`` says whether IPv6 flows have
        the labels that traces give them; the label is 0 otherwise. Vantage points are
        numbered from 0.

        :raises ValueError: when there is no such vantage point.
        """

    def reply(
        self,
        vantage_point: int,
        destination: IPv4Address | IPv6Address,
        protocol: int,
        octets: int,
        ttl: int,
        labels_flows: bool = False,
    ) -> tuple[str, str] | None:
        """Return the kind of reply to a probe, and the address that it comes from.

        The kind is ``time exceeded``, ``echo``, ``port unreachable``, or to a TCP SYN
        ``SYN-ACK`` or ``reset``. The result is None if nobody answers. Loss, rate
        limits and route changes do not count.

        :raises ValueError: when there is no such vantage point.
        """

    def links_of_flows(
        self,
        vantage_point: int,
        destinations: Sequence[IPv4Address | IPv6Address],
        protocol: int,
        octets: Sequence[int],
        labels_flows: bool = False,
    ) -> list[tuple[str, str, bool]]:
        """Return the links that a set of flows can cross.

        The flows are all combinations of the destinations and the first four octets
        after the IP header. Each link has its near and its far address, and whether
        both ends answer. Links are sorted, and links to hosts of prefixes are left out.

        :raises ValueError: when there is no such vantage point.
        """

    def links_of_plan(
        self, vantage_point: int, plan: Plan
    ) -> list[tuple[str, str, bool]]:
        """Return the links that the flows of a plan can cross, whatever its TTLs.

        The links are as those of ``links_of_flows``.

        :raises OSError: when the plan can't be read.
        :raises ValueError: when there is no such vantage point, or the file is no plan.
        """

    def trace_plan(
        self, vantage_point: int, plan: Plan, forbidden: PrefixSet
    ) -> tuple[set[tuple[int, int]], int]:
        """Trace the destinations of a plan in process.

        Return the links between routers that are found, each as the near and the far
        address that ``time_exceeded`` would give, and the number of probes, without
        those for alias resolution. Loss, rate limits, route changes and load balancing
        by packet do not count. Addresses that are forbidden are not drawn.

        :raises OSError: when the plan can't be read.
        :raises ValueError: when there is no such vantage point, the file is no plan, or
            its targets are not traced.
        """

    def time_exceeded(self, vantage_point: int, plan: Plan) -> Table:
        """Return the time exceeded messages to the probes of a plan, in no order.

        If the plan says so, flows go on beyond their last TTL while probes expire.
        Those that come from the probed prefix itself are left out. The columns are
        prefix_index and flow (uint32), ttl (uint8) and address (uint64). An IPv4
        address is itself. An IPv6 address is its higher half times 0x9e3779b97f4a7c15,
        modulo 2^64, xor its lower half. Loss, rate limits and route changes do not
        count.

        :raises OSError: when the plan can't be read.
        :raises ValueError: when there is no such vantage point, or the file is no plan.
        """

    def run(
        self, command: list[str], *, namespaces: Sequence[PathLike[str]] = ...
    ) -> tuple[int, int, int, int]:
        """Run a command at the first vantage point until it ends.

        Each vantage point is a new network namespace with the link ``eth0``. If there
        are files of namespaces, these are the vantage points instead, and have the link
        ``sim0`` until the command ends. Return the exit code, and the numbers of
        packets received, replies sent, and frames lost because the simulator could not
        keep up.

        :raises OSError: when the kernel does not permit it, such as without root.
        :raises ValueError: when there is no command, or the namespaces are not as many
            as the vantage points.
        """

@final
class Plan:
    """A probe plan in a Parquet file, cut into blocks."""

    path: Path
    """Its file."""
    blocks: int
    """The number of its blocks, which are numbered from 0."""
    unit: str
    """What it counts: ``probe``, or ``destination`` if its targets are traced."""
    units: int
    """How many of them it asks for."""
    segment: str | None
    """What TCP probes are, ``syn`` or ``ack``; None if there are none."""

    def __new__(cls, path: PathLike[str]) -> Plan:
        """Open a plan.

        :raises OSError: when the file can't be read.
        :raises ValueError: when the file is no plan.
        """

    def draw(
        self,
        block: int,
        *,
        order: str,
        start: int = 0,
        count: int | None = None,
        forbidden: PrefixSet | None = None,
    ) -> list[tuple[int, IPv4Address | IPv6Address, int, int, int, int, int]]:
        """Return the probes of a block from slot ``start`` on, at most ``count``.

        They are in the order in which they are sent, which depends on the plan and on
        ``order``. Each has its slot, destination, protocol number, source port,
        destination port, TTL and flow. If a seed chooses destinations, they are not
        ``forbidden``, where a target has an address that is not.

        :raises OSError: when the file can't be read.
        :raises ValueError: when it is no plan, has no such block, or a row can't be
            probed.
        """

    def end(self, block: int) -> int:
        """Return the slot behind the last one of a block, where its parts end.

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
        fill_ttl: int | None = None,
        tracing: TraceParameters | None = None,
        destination_seed: int | None = None,
    ) -> Plan:
        """Write the plan of a first round: each target's TTLs and first flows.

        With ``fill_ttl``, a flow goes on beyond its target's last TTL up to this one,
        as long as replies show that its path does.

        With ``tracing``, each target is traced, to the address of its first flow; with
        ``destination_seed``, to an address that this seed draws.

        ``flow_mapper`` is the name of one of diamond-miner's: RandomFlowMapper with a
        seed, IntervalFlowMapper with a step from 1 to 255, ReverseByteFlowMapper or
        SequentialFlowMapper. ``blocks`` is the number of blocks, by default one for
        each 2^20 targets. This takes 40 bytes of memory a target.

        :raises OSError: when it can't be written.
        :raises ValueError: when there is no such mapper, or it takes other arguments.
        """

    def ask(self, path: PathLike[str], demands: Iterable[_Arrow]) -> Plan:
        """Write a plan that asks for other probes of the same prefixes.

        ``demands`` has a table for each block, with the columns prefix_index (uint32),
        min_ttl, max_ttl (uint8), first_flow and flow_count (uint32). Flows for which no
        source port is left are omitted. With a column addresses (a list of 16 bytes
        each), the targets of a plan of traces stand for these: aliases are looked for
        among them, and no path is traced.

        :raises OSError: when this plan can't be read, or the other can't be written.
        :raises ValueError: when there is no table for a block, a column is missing, or
            a prefix is not of this plan's block.
        """

@final
class TraceParameters:
    """How the targets of a plan are traced, between their TTLs."""

    algorithm: str
    """``mda``, ``mdaLite``, ``mdaLocal`` or ``singlePath``."""
    failure_probability: float
    """The failure probability of a vertex."""
    phi: int
    """The flows of each vertex in the meshing test of mdaLite and mdaLocal."""
    per_packet_test: bool
    """Whether load balancing by packet is told from that by flow."""
    gap_limit: int
    """The number of silent hops in a row that end a trace."""
    attempts: int
    """The number of times that a probe without a reply is sent."""
    max_probes: int
    """The most probes of a trace."""
    wait_s: int | None
    """How many seconds a reply is waited for; None to go by round-trip times."""
    alias_rounds: int | None
    """The rounds of alias resolution; None for no alias resolution."""

    def __new__(
        cls,
        *,
        algorithm: str,
        failure_probability: float,
        phi: int = 2,
        per_packet_test: bool = True,
        gap_limit: int = 5,
        attempts: int = 3,
        max_probes: int = 30_000,
        wait_s: int | None = None,
        alias_rounds: int | None = None,
    ) -> TraceParameters:
        """Check the parameters.

        :raises ValueError: when one has no such value.
        """

@final
class Statistics:
    """The counts of a prober since it started."""

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
    """ICMP packets, SYN-ACKs and resets that answer no probe of this kind, or answer
    another prober of this process."""
    forged: int
    """Replies whose tag is wrong: forged, damaged, or to probes of an earlier start."""
    unplanned: int
    """Replies to probes that are not in the plan, or were not sent yet."""
    late: int
    """Replies that came after their wait had ended."""
    excess: int
    """Replies beyond two for each probe of a part: someone repeats them."""
    dropped: int
    """Packets that the kernel dropped unread; counted when a part ends."""
    stalled_us: int
    """Microseconds by which the sender fell behind its schedule."""
    traced: int
    """Destinations whose trace has ended."""
    further: int
    """Probes sent beyond the last TTL of the plan, as replies asked for them."""

@final
class Part:
    """The description of a reply part."""

    block: int
    """The number of the block."""
    start: int
    """The first slot."""
    end: int
    """The slot after the last one."""
    probes: int
    """The number of probes that were sent for it."""
    replies: int
    """The number of replies in it."""
    traced: int
    """The number of destinations that were traced for it."""
    sender: str
    """The agent that probed, if several agents share the plan; otherwise empty."""
    hand_out: int
    """The number of the hand-out that the block was part of; 0 without."""
    counts: Statistics
    """The prober's counts from its start until it closed the part."""

    @staticmethod
    def read(tail: bytes) -> Part:
        """Read the description from the last bytes of a part's file; 64 KiB are enough.

        :raises ValueError: when they are not of a reply part, or too few.
        """

@disjoint_base
class Controlled:
    """Who sends probes, and may be told something while that goes on.

    Any thread may do so, and signal handlers.
    """

    def stop(self) -> None:
        """Stop sending for good, within 50 ms."""

    @property
    def is_silent(self) -> bool:
        """True once nothing more is sent, and only the last replies are awaited."""

    def set_rate(self, rate: int) -> None:
        """Change the rate, in probes a second; 0 pauses."""

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Change the most probes a second to one prefix, or to one destination.

        :raises ValueError: when it is not above 0.
        """

    def forbid(self, forbidden: PrefixSet) -> None:
        """Replace the set of addresses that are not probed, from the next probe on.

        Traces of destinations in it end.
        """

    @property
    def statistics(self) -> Statistics:
        """The counts so far."""

@final
class Prober(Controlled):
    """A prober, which sends a plan's probes once, and keeps the replies in parts."""

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
        sender: str = "",
        hand_out: int = 0,
        begin: Mapping[int, int] = ...,
        wait_seconds: float = 5.0,
        part_probes: int = 524288,
        part_seconds: float = 60.0,
        interface: str | None = None,
        sources: Sequence[IPv4Address | IPv6Address] = ...,
        contact: str = "",
    ) -> Prober:
        """Make a prober for some blocks of a plan, by default all.

        :param parts: the folder for reply parts. The parts in it say where to go on.
        :param network: the file of the network namespace to probe from; by default the
            one that ``run`` is called in.
        :param order: who probes, and in which round. With the plan, this determines the
            order of the probes.
        :param round_number: the number of the round, 0 to 255, which replies record.
        :param rate: probes a second; 0 pauses.
        :param max_rate_per_prefix: the most probes a second to one prefix.
        :param forbidden: addresses that are not probed, whatever the plan says.
        :param min_ttl: the lowest TTL that is sent.
        :param max_ttl: the highest TTL that is sent.
        :param sender: the name of whoever probes, which the parts record.
        :param hand_out: the number of the hand-out that the blocks are, which the parts
            record.
        :param begin: the first slot of the parts in the folder, for each block whose
            earlier parts are elsewhere; by default 0.
        :param wait_seconds: how long to wait for a reply, at most 6 s.
        :param part_probes: the most probes of a part.
        :param part_seconds: the longest time over which the probes of a part are sent.
        :param interface: the interface that probes leave by; by default the routes
            decide. The kernel is asked once for the route to each prefix.
        :param sources: the addresses to send from; by default the routes decide.
        :param contact: text for people who wonder about a probe, in each probe; at most
            256 bytes.
        :raises ValueError: when a time or a rate is out of range.
        """

    def run(
        self,
        progress: Callable[[Statistics], object] | None = None,
        every_seconds: float = 1.0,
    ) -> Statistics:
        """Probe until the end of the plan or a stop, and wait for the last replies.

        This calls ``progress`` about every ``every_seconds``, and runs signal handlers.
        If one of them raises, the prober stops and closes its part before the exception
        is passed on.

        :raises OSError: when the kernel does not permit it, with the remedy.
        :raises RuntimeError: when the prober ran before.
        :raises ValueError: when the plan or an option can't be used.
        """

    @property
    def is_ending(self) -> bool:
        """True once all has begun: from then on less and less is sent."""

@final
class Diamond:
    """What distinguishes a diamond: the metrics of Vermeulen et al. (IMC 2018)."""

    max_width: int
    """The most interfaces of a hop."""
    max_length: int
    """The number of links of the longest path."""
    width_asymmetry: int
    """The largest difference in the number of successors within a hop that is not
    wider than the next, or of predecessors within one not wider than the hop before."""
    meshed_ratio: float
    """The share of meshed pairs of hops."""
    probability_difference: float
    """The largest difference within a hop between the probabilities of reaching its
    interfaces."""

def find_routers(aliases: _Arrow) -> Table:
    """Return the routers that have several of the addresses of some pairs.

    ``aliases`` is a table of pairs in any order: first_addr and second_addr (16 bytes),
    and verdict: ``accept``, ``reject`` or ``undetermined``. Aliases of one address are
    aliases of each other.

    The result has a row for each address, sorted by router_addr and addr. router_addr,
    the lowest address of a router, stands for it. is_in_conflict says whether some of
    its addresses are rejected as aliases of each other: then some of them are none, and
    nobody knows which.

    :raises ValueError: when a column is missing or of another type, or a verdict is
        none of these.
    """

def find_diamonds(links: _Arrow) -> Table:
    """Return the diamonds on the paths to some prefixes, from the links on these paths.

    ``links`` is a table sorted by prefix_index (uint32) and near_ttl (uint8), with the
    ends near_addr and far_addr (16 bytes) of each link. A link may be there several
    times. The links of one prefix are looked at together: those of all flows to all of
    its addresses.

    A hop has the interfaces that are ends of links at its TTL. An interface counts at
    each TTL at which it replies, so paths of different lengths do not converge where
    they meet. A diamond lies between a divergence and a convergence point: hops with
    one interface, two or more hops apart, while each hop in between has several
    (Augustin et al., IMC 2007). No diamond goes across a hop without links.

    The result has a row for each diamond, sorted by prefix_index and TTL: prefix_index,
    divergence_ttl, divergence_addr, convergence_ttl, convergence_addr, and the metrics
    of ``Diamond``. An interface of a diamond may have no predecessor or no successor in
    it, since no flow through the interface has a reply from there. Then links are
    missing, and width_asymmetry, meshed_ratio and probability_difference are null.

    :raises ValueError: when the links are not sorted, a column is missing or has
        another type or nulls, or a near_ttl is 255.
    """

@final
class Trial:
    """A trial of a multipath algorithm on one topology, as in Fakeroute.

    It runs in the process, without packets. All routers answer, and at once. A run
    fails unless the links that it finds are exactly those of the topology.
    """

    vertices: int
    """The number of interfaces of the topology."""
    edges: int
    """The number of links of the topology."""
    links: list[tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]]
    """The links between interfaces: all but the one from the vantage point."""
    diamonds: list[Diamond] | None
    """The diamonds in the order of the paths; None if some interface is reached by
    paths of different lengths."""
    predicted: float | None
    """The probability that the MDA misses a link; None if balancing is weighted."""

    def __new__(
        cls,
        topology: str | PathLike[str] | int,
        *,
        algorithm: str,
        failure_probability: float,
        phi: int,
        seed: int,
    ) -> Trial:
        """Prepare a trial of an algorithm: ``mda``, ``mdaLite`` or ``singlePath``.

        ``topology`` is a file, or the seed from which a topology of one diamond is
        drawn, as the simulated Internet has them. ``failure_probability`` is that of
        each vertex. ``phi`` is the number of flows
        of each vertex in MDA-Lite's meshing test.

        :raises OSError: when the topology file can't be read.
        :raises ValueError: when the topology is not valid, with the line, or when a
            value is out of bounds.
        """

    def run(self, first: int, runs: int) -> Sample:
        """Trace the destination ``runs`` times. The runs are numbered from ``first``.

        Runs with different numbers are independent. The same number gives the same run.
        """

    @staticmethod
    def share_failure(failure_probability: float, branching: int) -> float:
        """Return the failure probability of a vertex, from that of a topology.

        With p for the topology, which has at most b = ``branching`` branching points,
        it is 1 - (1 - p)^(1 / b).
        """

@final
class AliasTrial:
    """A trial of alias resolution on a simulated Internet, whose routers are known.

    It is of one family and runs in the process, without packets, from one vantage
    point.
    """

    def __new__(
        cls,
        *,
        prefixes: int,
        switches: dict[str, float],
        seed: int,
        algorithm: str,
        failure_probability: float,
        phi: int,
        rounds: int,
        family: str = "ipv4",
    ) -> AliasTrial:
        """Prepare a trial. The switches are those of ``Simulation``.

        :param family: ``ipv4`` or ``ipv6``.

        :raises ValueError: when a value is out of bounds.
        """

    def run(self, prefixes: list[int]) -> AliasCounts:
        """Trace an address of each prefix, and resolve the aliases of each hop."""

@final
class AliasCounts:
    """Sums over some destinations."""

    trace_probes: int
    """The probes of the traces."""
    alias_probes: int
    """The probes for alias resolution."""
    pairs: dict[tuple[int, str, str | None, bool], int]
    """The number of pairs by round, verdict and test, and whether they are aliases."""

@final
class Sample:
    """Sums over some runs."""

    failures: int
    """The number of runs that did not find exactly the links of the topology."""
    probes: int
    """The number of probes sent."""
    vertices: int
    """The number of interfaces found."""
    edges: int
    """The number of links found."""
    switches: dict[str, int]
    """The number of runs in which MDA-Lite switched to the MDA, by reason."""

_Address: TypeAlias = IPv4Address | IPv6Address

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
    """The ICMP type; the flags of a TCP segment."""
    code: int
    """The ICMP code; 0 for TCP."""
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
    """The TTL that the probe had left, as an error quotes it; 0 in other replies."""
    quoted_tos: int
    """The probe's type of service, as an error quotes it; 0 in other replies."""
    quoted_length: int
    """The probe's length in bytes, as an error quotes it; 0 in other replies."""
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
    """How often a probe of this flow and TTL was sent, this one included; one more than
    the attempts of a trace for the per-packet test."""
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
    """The TTLs at which a flow met two interfaces: the load is balanced by packet
    before, or the route changed."""
    gone: list[int]
    """The TTLs at which flows met a router and then none did any more: it has stopped
    answering, or the route changed. Some of its links may be missing."""
    refusal: str | None
    """Why it was refused, with the remedy: there is no route, a limit forbids a probe,
    or the kernel takes none."""
    probes: list[Probe]
    """The probes, by flow, TTL and attempt."""
    links: list[tuple[int, _Address | None, _Address | None]]
    """The links: the TTL of the nearer end, the nearer end and the farther one. An end
    is None for a star, and a nearer end for what lies before the first TTL."""
    aliases: list[AliasPair] | None
    """What is said of each pair of addresses of a hop; None if nobody asked for it."""
    routers: list[list[_Address]]
    """The addresses of each router that has several; those in conflict are left out."""
    alias_probes: int
    """The number of probes for alias resolution."""

@final
class AliasPair:
    """What alias resolution says of two addresses of a hop."""

    ttl: int
    """The TTL of the hop."""
    first: _Address
    """The lower address."""
    second: _Address
    """The higher address."""
    verdict: str
    """``accept``: they are interfaces of one router; ``reject``: they are not; or
    ``undetermined``."""
    test: str | None
    """The test that says so: ``error ids``, ``echo ids``, ``fragment ids``,
    ``fingerprint``, ``labels`` or ``source``; None if no test says anything."""
    round: int
    """The round after which it stood; 0 for what the trace itself has shown."""

@final
class Tracing(Controlled):
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
        per_packet_test: bool = True,
        protocol: str = "udp",
        first_ttl: int = 1,
        max_ttl: int = 32,
        gap_limit: int = 5,
        attempts: int = 3,
        max_probes: int = 30_000,
        wait_s: int | None = None,
        alias_rounds: int | None = None,
        rate: int,
        max_rate_per_destination: float,
        forbidden: PrefixSet,
        window: int = 1_000,
        live: bool = False,
        network: str | PathLike[str] | None = None,
        interface: str | None = None,
        sources: Sequence[_Address] = ...,
        contact: str = "",
    ) -> Tracing:
        """Begin to trace.

        :param algorithm: ``mda``, ``mdaLite``, ``mdaLocal`` or ``singlePath``.
        :param failure_probability: the failure probability of a vertex.
        :param phi: the flows of each vertex in the meshing test of ``mdaLite``.
        :param per_packet_test: whether load balancing by packet is told from that by
            flow.
        :param protocol: ``udp``, ``icmp``, ``tcpSyn`` or ``tcpAck``.
        :param gap_limit: the silent hops in a row that end a trace.
        :param attempts: the number of times that a probe without a reply is sent.
        :param max_probes: the most probes of a trace.
        :param wait_s: how many seconds a reply is waited for, from 1 to 5; None to go
            by round-trip times.
        :param alias_rounds: the rounds of alias resolution; None for none.
        :param rate: probes a second.
        :param max_rate_per_destination: probes a second to one destination.
        :param forbidden: addresses that are not probed.
        :param window: the most destinations to trace at once. One whose trace was not
            read yet counts, so that memory is bounded.
        :param network: the file of the network namespace to probe from.
        :param interface: the link to send by, instead of what the routes say.
        :param sources: the addresses to send from, at most one a family.
        :param contact: how to reach whoever probes; each probe carries it but those of
            TCP.
        :raises ValueError: when an option can't be used.
        """

    def __iter__(self) -> Tracing: ...
    def __next__(self) -> Probe | Trace:
        """Return the next event.

        :raises OSError: when the system refuses something, such as raw sockets.
        """

@final
class ClientTrace:
    """A trace of a client that has ended."""

    number: int
    """The number that its client was named with."""
    began_us: int
    """When it began, in microseconds since 1970."""
    ended_us: int
    """When it ended, in microseconds since 1970."""
    end: str
    """Why it ended, as in `Trace`; or ``time limit``."""
    refusal: str | None
    """Why it was refused, with the remedy, as in `Trace`."""
    probes: int
    """The number of probes sent."""
    replies: int
    """The number of probes with a reply."""
    hops: list[_Address]
    """The addresses that have replied, but for those of a client that is hidden."""
    text: bytes
    """The trace as scamper's JSON: the lines of a cycle that starts, of the trace, and
    of the cycle's end. Empty without a result: if nothing was sent, or at the time
    limit."""
    first_hop: str
    """The probes to the first hop, which are not in the text: JSON, as scamper has the
    probes of a link. Empty without a result."""

@final
class ClientTracing(Controlled):
    """Traces clients as they are named, many at once, in a thread of its own.

    Traces that go on when it is stopped are dropped.
    """

    def __new__(
        cls,
        parameters: TraceParameters,
        *,
        protocol: str,
        min_ttl: int = 1,
        max_ttl: int = 255,
        rate: int,
        max_rate_per_prefix: float,
        forbidden: PrefixSet,
        window: int,
        time_limit_s: int,
        confidence: int,
        hostname: str,
        hides_clients: bool = False,
        network: str | PathLike[str] | None = None,
        interface: str | None = None,
        sources: Sequence[_Address] = ...,
        contact: str = "",
    ) -> ClientTracing:
        """Begin to trace those that are named.

        :param protocol: ``udp`` or ``icmp``.
        :param rate: probes a second; 0 sends nothing.
        :param max_rate_per_prefix: probes a second to one client.
        :param forbidden: addresses that are not probed.
        :param window: the most traces at once.
        :param time_limit_s: how many seconds a trace may take.
        :param confidence: how sure a trace is to find all next hops, in percent, as its
            text says.
        :param hostname: the name of this host in the traces' text.
        :param hides_clients: whether the first address of a client's /24 or /64 stands
            for all of its addresses in the text.
        :param network: the file of the network namespace to probe from.
        :param interface: the link to send by, instead of what the routes say.
        :param sources: the addresses to send from, at most one a family.
        :param contact: how to reach whoever probes; each probe carries it.
        :raises ValueError: when an option can't be used.
        """

    def trace(self, number: int, client: _Address) -> None:
        """Name a client to trace.

        While its address is being traced already, no other one begins after it.

        :raises RuntimeError: when it has stopped.
        """

    def take(self, timeout_s: float) -> list[ClientTrace]:
        """Return traces that have ended; wait for one at most so many seconds.

        :raises OSError: when the system refuses something, such as raw sockets.
        """

@final
class TraceReader:
    """A file of another tool, read as rows of parts of traces, or of replies.

    It is an Arrow stream, which can be read once. Its columns are those of parts of
    traces but for prefix_index, and ``trace``: the number of the trace. Of a batch
    tool, they are those of reply parts but for prefix_index, flow and
    destination_prefix_reply. What the file does not say is null. A damaged file ends
    the stream with an error that names the file and the place.
    """

    def __new__(
        cls,
        file: str | PathLike[str],
        file_format: str | None = None,
        *,
        first_trace: int = 0,
    ) -> TraceReader:
        """Open a file, plain or compressed.

        :param file_format: the file's format; by default its content tells.
        :param first_trace: the number of its first trace.
        :raises ValueError: when it can't be read, or its format is not known.
        """

    has_replies: bool
    """Whether it holds replies of a batch tool, and no traces."""
    traces: int
    """The traces read so far."""
    skipped: dict[str, int]
    """What was read and left out so far, by its name."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class TraceWriter:
    """A file in one of the field's formats, written from rows of parts."""

    def __new__(
        cls,
        file: str | PathLike[str],
        file_format: str,
        *,
        compression: str | None,
        is_multipath: bool,
        name: str,
        monitor: str,
        start: int,
        stop: int | None,
        list_id: int = 1,
        cycle_id: int = 1,
        first_ttl: int | None = None,
        max_ttl: int | None = None,
        gap_limit: int | None = None,
        attempts: int | None = None,
        confidence: int | None = None,
        max_probes: int | None = None,
        wait_us: int | None = None,
        is_ping: bool = False,
    ) -> TraceWriter:
        """Make a new file.

        :param compression: ``gzip`` or ``zstd``.
        :param is_multipath: whether a trace has all flows of a target, not only one.
        :param name: the name of the list of targets.
        :param monitor: the name of the vantage point.
        :param start: when the run began, in seconds since 1970.
        :param stop: when it ended; None if it goes on.
        :param list_id: the number by which people know the list.
        :param cycle_id: the number by which they know the cycle over it.
        :param confidence: that all next hops were found, in percent.
        :param wait_us: how long a probe waits for its reply, in microseconds.
        :param is_ping: whether a target has echo requests, numbered by flow, which
            make a ping. The column ``requests`` has their number, if it is known.
        :raises ValueError: when there is no such format or compression.
        :raises OSError: when the file can't be made.
        """

    def write(self, rows: _Arrow) -> None:
        """Write rows, sorted by prefix_index, flow, probe_ttl and attempt.

        A target may go on in the next rows.

        :raises ValueError: when the rows can't be used.
        :raises OSError: when the file can't be written.
        """

    def close(self) -> int:
        """Write what ends the file; return the number of traces.

        :raises OSError: when the file can't be written.
        """
