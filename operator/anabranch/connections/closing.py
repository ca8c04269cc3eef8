"""Connections that have ended, and what may have been missed of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Address = IPv4Address | IPv6Address
_NETBLOCKS = {4: 24, 6: 64}
"""The prefix lengths of netblocks, by the version of IP."""


@dataclass(frozen=True)
class Closing:
    """A TCP connection that has ended. Times are in seconds since 1970."""

    uuid: str
    """Its name, the only one in the world (https://github.com/m-lab/uuid)."""
    client: Address
    client_port: int
    server: Address
    server_port: int
    at: float
    """When it ended."""


@dataclass(frozen=True)
class Missed:
    """A time in which connections may have ended that nobody told of."""

    since: float
    until: float
    reason: str


@dataclass
class Heard:
    """What a source of events has told since it was asked last."""

    closings: list[Closing] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    unreadable: int = 0
    """The events that make no sense."""
    unseen: int = 0
    """The connections that have ended, and began while nobody listened."""


def read_address(text: object) -> Address:
    """Return an address; one of IPv4 in IPv6 notation is of IPv4.

    Raises:
        ValueError: If it is none, or if it has a zone.
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no address")  # noqa: TRY004 (as any other text)
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id:
        raise ValueError(f"{text} is an address of one link alone")
    return address.ipv4_mapped or address


def order_ends(
    ours: tuple[Address, int],
    theirs: tuple[Address, int],
    is_local: Callable[[Address], bool],
) -> tuple[tuple[Address, int], tuple[Address, int]] | None:
    """Return the server's and the client's end of a connection; None without a client.

    The kernel names its own end first. Only if the other end is an address of this
    host and that one is not, they are the wrong way round. The end of a load balancer
    is neither.
    """
    if not is_local(theirs[0]):
        return ours, theirs
    return None if is_local(ours[0]) else (theirs, ours)


def name_netblock(address: Address) -> str:
    """Return the first address of a client's netblock: its /24, or its /64."""
    length = _NETBLOCKS[address.version]
    return str(ip_network((address, length), strict=False).network_address)
