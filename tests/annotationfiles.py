"""Files that say what is known about addresses, as their publishers write them."""

from __future__ import annotations

import json
import struct
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

AsPath = tuple[int | frozenset[int], ...]
"""The ASes of a path; a set stands for an AS_SET."""

MAXMIND_ASN = "autonomous_system_number"
MAXMIND_NAME = "autonomous_system_organization"


def write_mmdb(file: Path, records: Mapping[str, Any], kind: str = "Test-ASN") -> Path:
    """Writes an MMDB of both families, with a record a prefix; returns its path."""
    writer = MMDBWriter(6, kind, ipv4_compatible=True, int_type="u32")
    for prefix, record in records.items():
        writer.insert_network(IPSet([prefix]), record)
    writer.to_db_file(str(file))
    return file


def make_rib(routes: Mapping[str, Sequence[AsPath]], peers: int = 3) -> bytes:
    """A RIB dump in which the first peers have a path each to a prefix."""
    table = struct.pack("!IHH", 1, 0, peers)
    for peer in range(peers):
        address = bytes((192, 0, 2, peer + 1))
        table += struct.pack("!B4s4sI", 2, address, address, 64496 + peer)
    records = [_make_record(1, table)]
    for number, (prefix, paths) in enumerate(routes.items()):
        network = ip_network(prefix)
        length = -(-network.prefixlen // 8)
        body = struct.pack("!IB", number, network.prefixlen)
        body += network.network_address.packed[:length] + struct.pack("!H", len(paths))
        for peer, path in enumerate(paths):
            attributes = _make_path(path)
            body += struct.pack("!HIH", peer, 0, len(attributes)) + attributes
        records.append(_make_record(2 if network.version == 4 else 4, body))
    return b"".join(records)


def _make_record(subtype: int, body: bytes) -> bytes:
    return struct.pack("!IHHI", 1_700_000_000, 13, subtype, len(body)) + body


def _make_path(path: AsPath) -> bytes:
    """The attributes ORIGIN and AS_PATH; runs of ASes are sequences."""
    segments = b""
    for each in path:
        members = sorted(each) if isinstance(each, frozenset) else [each]
        kind = 1 if isinstance(each, frozenset) else 2
        segments += struct.pack(f"!BB{len(members)}I", kind, len(members), *members)
    return b"\x40\x01\x01\x00" + struct.pack("!BBB", 0x40, 2, len(segments)) + segments


PREFIXES = [
    {"id": 1, "ixlan_id": 20, "protocol": "IPv4", "prefix": "198.51.100.0/24"},
    {"id": 2, "ixlan_id": 20, "protocol": "IPv6", "prefix": "2001:7f8:1::/64"},
    {"id": 3, "ixlan_id": 21, "protocol": "IPv4", "prefix": "203.0.113.0/24"},
]
LANS = [{"id": 20, "ix_id": 30, "name": ""}, {"id": 21, "ix_id": 31, "name": "LAN"}]
EXCHANGES = [
    {"id": 30, "name": "Example-IX", "country": "DE", "media": "Ethernet"},
    {"id": 31, "name": "Other-IX", "country": "FR", "media": "Ethernet"},
]


def make_answer(objects: Sequence[Mapping[str, Any]]) -> str:
    """What PeeringDB's API answers."""
    return json.dumps({"data": list(objects), "meta": {}})
