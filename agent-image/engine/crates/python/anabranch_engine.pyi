"""The engine: what Anabranch does per prefix, per probe and per packet."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from os import PathLike
from typing import Final, Protocol, final

__all__ = [
    "MAX_TARGETS",
    "PrefixSet",
    "Simulation",
    "TargetList",
    "TargetListError",
    "Targets",
]

MAX_TARGETS: Final[int]
"""The most targets that one plan may have."""

class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...

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
        forbidden: PrefixSet,
        limit: int = ...,
    ) -> Targets:
        """The targets, split to these prefix lengths: overlaps merged, none forbidden.

        Entries longer than the split stay whole; a bare IPv4 address stands for its
        /24, or for less where the split is finer. A target is left out when all its
        addresses are forbidden.

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
    def excluded(self) -> int:
        """Targets left out because all their addresses are forbidden."""

    @property
    def partly_excluded(self) -> int:
        """Targets of which the engine passes over some forbidden addresses."""

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

    def run(self, command: list[str]) -> tuple[int, int, int, int]:
        """Runs a command at the first vantage point, in namespaces of its own.

        Gives its exit code, and the packets received, replies sent and frames lost.

        :raises OSError: when the kernel does not let it, such as without root.
        """
