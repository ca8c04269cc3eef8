"""What tcp-info and the kernel say of connections, and what else may come."""

from __future__ import annotations

import json
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.connections.closing import Heard, read_address
from anabranch.connections.sockdiag import read_messages
from anabranch.connections.sources import name_boot
from anabranch.connections.tcpinfo import MAX_LINE, EventReader

if TYPE_CHECKING:
    from anabranch.connections.closing import Address

OURS = ip_address("198.18.0.2")
HTTPS = frozenset([443])


def is_ours(address: Address) -> bool:
    """Whether an address is the server's."""
    return address == OURS


def line(event: int, uuid: Any = "a", **ends: Any) -> bytes:
    """An event as tcp-info writes it."""
    usual = {"SPort": 443, "DPort": 5000, "SrcIP": str(OURS), "DstIP": "240.0.1.1"}
    told = {
        "Event": event,
        "Timestamp": "2026-11-29T12:00:00.123456789Z",
        "UUID": uuid,
        "ID": None if event else usual | {"Interface": 0, "Cookie": 7} | ends,
    }
    return json.dumps(told).encode() + b"\n"


def read(*pieces: bytes, ports: frozenset[int] = frozenset()) -> Heard:
    """What a reader takes from these pieces."""
    reader, heard = EventReader(is_ours, ports), Heard()
    for piece in pieces:
        reader.read(piece, heard)
    return heard


def test_a_connection_that_begins_and_ends_has_a_client() -> None:
    """Whichever way its bytes come."""
    content = line(0) + line(0, "b", DstIP="3fff::1") + line(1) + line(1, "b")
    whole = read(content)
    assert [str(each.client) for each in whole.closings] == ["240.0.1.1", "3fff::1"]
    assert whole.closings[0].at == pytest.approx(1_795_953_600.123456)
    pieces = [content[at : at + 7] for at in range(0, len(content), 7)]
    assert read(*pieces) == whole


def test_an_ipv4_client_of_an_ipv6_socket_is_of_ipv4() -> None:
    """As ::ffff:192.0.2.1, no trace would find anything."""
    (found,) = read(line(0, DstIP="::ffff:192.0.2.1"), line(1)).closings
    assert found.client == ip_address("192.0.2.1")
    with pytest.raises(ValueError, match="one link alone"):
        read_address("fe80::1%eth0")


def test_ends_are_told_apart_by_which_is_ours() -> None:
    """A connection between two of ours has no client."""
    swapped = {"SrcIP": "240.0.1.1", "SPort": 5000, "DstIP": str(OURS), "DPort": 443}
    (found,) = read(line(0, **swapped), line(1)).closings
    assert (str(found.client), found.server_port) == ("240.0.1.1", 443)
    assert read(line(0, DstIP=str(OURS)), line(1)).closings == []
    balanced = line(0, SrcIP="203.0.113.1")
    (found,) = read(balanced, line(1)).closings
    assert str(found.client) == "240.0.1.1"


def test_only_ports_that_are_watched_count() -> None:
    """Those of servers, not of clients."""
    assert read(line(0), line(1), ports=HTTPS).closings
    assert not read(line(0, SPort=22), line(1), ports=HTTPS).closings


@pytest.mark.parametrize(
    "hostile",
    [
        b"no JSON\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"7\n",
        b'{"Event": 0}\n',
        b"[" * 60_000 + b"\n",
        line(7),
        line(0, ""),
        line(0, 5),
        line(0, "../../etc/passwd"),
        line(0, "a\n"),
        line(0, "x" * 1000),
        line(0, SrcIP="nowhere"),
        line(0, DstIP=5),
        line(0, DPort=-1),
        line(0, DPort="443"),
        b"x" * (3 * MAX_LINE) + b"\n",
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_hostile_line_is_counted_and_passed_over(hostile: bytes) -> None:
    """What comes behind it is read as usual; memory stays bounded."""
    heard = read(hostile, line(0, "good"), line(1, "good"))
    assert heard.unreadable == 1
    assert [each.uuid for each in heard.closings] == ["good"]
    pieces = [hostile[at : at + 5000] for at in range(0, len(hostile), 5000)]
    assert read(*pieces, line(0, "good"), line(1, "good")) == heard


def test_a_connection_that_began_unheard_is_counted_when_it_ends() -> None:
    """Who it was with is not known; of others that do not count, it is."""
    heard = read(line(0), line(1), line(1))
    assert (len(heard.closings), heard.unseen, heard.unreadable) == (1, 1, 0)
    other = read(line(0, SPort=22), line(1), ports=HTTPS)
    inner = read(line(0, DstIP=str(OURS)), line(1))
    assert not any(each.closings or each.unseen for each in (other, inner))


def message(
    family: int, client: str, port: int = 443, client_port: int = 5000
) -> bytes:
    """What the kernel says of a socket that it destroys."""
    server = socket.inet_pton(
        family, "198.18.0.2" if family == socket.AF_INET else "::1"
    )
    there = socket.inet_pton(family, client)
    ends = struct.pack("!HH16s16s", port, client_port, server, there)
    body = bytes([family, 7, 0, 0]) + ends + struct.pack("=III", 0, 0xAB, 1)
    body += bytes(20 + 4)
    return struct.pack("=IHHII", 16 + len(body), 20, 0, 0, 0) + body


def told(datagram: bytes) -> list[tuple[str, str]]:
    """The UUIDs and clients that a datagram tells of."""
    found = read_messages(
        datagram, prefix="host_1", ports=HTTPS, is_local=is_ours, now=1.0
    )
    return [(each.uuid, str(each.client)) for each in found]


def test_the_kernel_tells_of_connections_by_their_cookie() -> None:
    """Several in one datagram, of both families."""
    four = message(socket.AF_INET, "240.0.1.1")
    six = message(socket.AF_INET6, "3fff::1")
    mapped = message(socket.AF_INET6, "::ffff:240.0.2.1")
    uuid = "host_1_00000001000000AB"
    assert told(four + six + mapped) == [
        (uuid, "240.0.1.1"),
        (uuid, "3fff::1"),
        (uuid, "240.0.2.1"),
    ]


def test_sockets_that_never_had_a_client_are_passed_over() -> None:
    """And those of other ports, and what is cut off anywhere."""
    assert told(message(socket.AF_INET, "240.0.1.1", client_port=0)) == []
    assert told(message(socket.AF_INET, "240.0.1.1", port=22)) == []
    assert told(message(socket.AF_INET, str(OURS))) == []
    whole = message(socket.AF_INET, "240.0.1.1")
    for end in range(len(whole) - 24):
        assert told(whole[:end]) == []
    assert told(bytes(64)) == []


def test_uuids_begin_with_the_host_and_its_boot() -> None:
    """As M-Lab's do."""
    assert name_boot("ndt-4fwxc", lambda: "cpu 1\nbtime 1642668804\n") == (
        "ndt-4fwxc_1642668804"
    )
