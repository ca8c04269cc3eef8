"""Messages of the kernel about TCP sockets that it destroys.

The multicast groups of NETLINK_SOCK_DIAG (linux/sock_diag.h), and their messages
(linux/inet_diag.h).
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from anabranch.connections.closing import Address, Closing, order_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NETLINK_SOCK_DIAG = 4
GROUPS = 1 << 0 | 1 << 2
"""TCP over IPv4 and over IPv6, as a mask of groups."""
_SOCK_DIAG_BY_FAMILY = 20
_HEADER = struct.Struct("=IHHII")
_ENDS = struct.Struct("!HH16s16s")
_COOKIE = struct.Struct("=4xII")
_ENDS_AT = 4
"""Behind the family, state, timer and retransmissions, a byte each."""
_COOKIE_AT = _ENDS_AT + _ENDS.size
_LEAST = _COOKIE_AT + _COOKIE.size
_V4_BYTES = 4


def read_messages(
    datagram: bytes,
    *,
    prefix: str,
    ports: frozenset[int],
    is_local: Callable[[Address], bool],
    now: float,
) -> Iterator[Closing]:
    """Yield the connections to these local ports that a datagram says have ended.

    ``prefix`` begins their UUIDs.
    """
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size:
            return
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _HEADER.size + _LEAST:
            body = datagram[at + _HEADER.size : at + length]
            closing = _read_socket(body, prefix, now)
            if closing and closing.server_port in ports:
                ours = (closing.server, closing.server_port)
                theirs = (closing.client, closing.client_port)
                if order_ends(ours, theirs, is_local) == (ours, theirs):
                    yield closing
        at += -(-length // 4) * 4


def _read_socket(body: bytes, prefix: str, now: float) -> Closing | None:
    if len(body) < _LEAST:
        return None
    server_port, client_port, server, client = _ENDS.unpack_from(body, _ENDS_AT)
    low, high = _COOKIE.unpack_from(body, _COOKIE_AT)
    there = _read_address(body[0], client)
    if not client_port or there.is_unspecified:
        return None  # It was never connected.
    uuid = f"{prefix}_{high << 32 | low:016X}"
    here = _read_address(body[0], server)
    return Closing(uuid, there, client_port, here, server_port, now)


def _read_address(family: int, content: bytes) -> Address:
    if family == socket.AF_INET:
        return IPv4Address(content[:_V4_BYTES])
    address = IPv6Address(content)
    return address.ipv4_mapped or address
