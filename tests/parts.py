"""Reply parts, and what the truth says that they hold."""

from __future__ import annotations

import json
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Plan, Simulation

Address = IPv4Address | IPv6Address
Probe = tuple[int, Address, int, int]
"""Protocol, destination, source port and TTL."""
Reply = tuple[str, str]
"""What it is, and the address that it comes from."""

SYN_ACK, RESET, RESET_WITH_ACK = 18, 4, 20
"""Flags of TCP, which stand in the place of an ICMP type."""
KINDS = {
    (1, 0): "echo",
    (1, 3): "port unreachable",
    (1, 11): "time exceeded",
    (58, 1): "port unreachable",
    (58, 3): "time exceeded",
    (58, 129): "echo",
    (6, SYN_ACK): "SYN-ACK",
    (6, RESET): "reset",
    (6, RESET_WITH_ACK): "reset",
}

COLUMNS = [
    *("probe_protocol", "probe_dst_addr", "probe_src_port", "probe_ttl"),
    *("reply_protocol", "reply_icmp_type", "reply_src_addr"),
]
"""Of probes and their replies."""


def make_head(
    probes: int, block: int = 0, unroutable: int = 0, *, end: int = 0, **counts: int
) -> dict[bytes, bytes]:
    """The metadata of a part that is made up, with what its prober counted."""
    known = dict.fromkeys(("forbidden", "unroutable", "unsent", "dropped"), 0)
    head = {
        "block": block,
        "end": end,
        "probes": probes,
        "unroutable": unroutable,
        "counts": known | {"sent": probes} | counts,
    }
    return {b"anabranch.part": json.dumps(head).encode()}


def read_parts(folder: Path) -> list[dict[str, Any]]:
    """The rows of all parts."""
    files = sorted(folder.rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@cache
def read_address(mapped: bytes) -> Address:
    """An address from the 16 bytes of a part."""
    address = IPv6Address(mapped)
    return address.ipv4_mapped or address


def find_replies(folder: Path) -> dict[Probe, Reply]:
    """The reply to each probe; none may have two."""
    replies: dict[Probe, Reply] = {}
    for file in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(file, columns=COLUMNS)
        for protocol, to, port, ttl, came, kind, source in zip(
            *(table.column(name).to_pylist() for name in COLUMNS), strict=True
        ):
            probe = (protocol, read_address(to), port, ttl)
            assert probe not in replies, f"{probe} has two replies"
            replies[probe] = (KINDS[came, kind], str(read_address(source)))
    return replies


def predict_replies(
    simulation: Simulation, plan: Plan, vantage_point: int = 0, fill_ttl: int = 0
) -> dict[Probe, Reply]:
    """What the truth says comes back to the probes of a plan.

    Up to ``fill_ttl``, flows go on beyond the plan's last TTL while probes expire.
    """
    replies: dict[Probe, Reply] = {}
    for block in range(plan.blocks):
        drawn = plan.draw(block, order="")
        last = max((ttl for *_, ttl, _ in drawn), default=0)
        for _, destination, protocol, port, to, planned, _ in drawn:
            octets = {
                17: port << 16 | to,
                6: port << 16 | to,
                1: 8 << 24 | port,
                58: 128 << 24 | port,
            }[protocol]
            ttls = [
                planned,
                *(range(last + 1, fill_ttl + 1) if planned == last else ()),
            ]
            for ttl in ttls:
                reply = simulation.reply(
                    vantage_point, destination, protocol, octets, ttl
                )
                if reply:
                    replies[protocol, destination, port, ttl] = reply
                if not reply or reply[0] != "time exceeded":
                    break
    return replies
