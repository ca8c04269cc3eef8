"""What an agent would tell of lists of addresses whose routers are known."""

from __future__ import annotations

import io
from ipaddress import ip_address
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from parts import make_head, read_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anabranch_engine import Simulation

RATE = 1_000.0
"""The identifications a second of all counters: so all addresses are compared."""
_ADDRESS: pa.DataType = pa.binary(16)
_PAIR = pa.struct(
    [
        ("ttl", pa.uint8()),
        ("first_addr", _ADDRESS),
        ("second_addr", _ADDRESS),
        ("verdict", pa.string()),
        ("test", pa.string()),
        ("round", pa.uint8()),
    ]
)
_LINK = pa.struct(
    [
        ("near_ttl", pa.uint8()),
        ("near_addr", _ADDRESS),
        ("far_addr", _ADDRESS),
        ("flows", pa.uint32()),
        ("first_end", pa.uint64()),
        ("last_start", pa.uint64()),
        ("is_unlikely", pa.uint8()),
    ]
)
_NOTHING: dict[str, Any] = {
    "flow": 0,
    "probe_ttl": 0,
    "trace_end": "completed",
    "trace_probes": 0,
    "trace_began_us": 0,
    "trace_ended_us": 0,
    "trace_unsteady": [],
    "trace_gone": [],
    "trace_links": [],
    "trace_alias_probes": 0,
}
"""A trace without any hops."""
_COLUMNS = pa.schema(
    {
        "prefix_index": pa.uint32(),
        "flow": pa.uint32(),
        "round": pa.uint8(),
        "probe_ttl": pa.uint8(),
        "reply_src_addr": _ADDRESS,
        "reply_protocol": pa.uint8(),
        "reply_icmp_type": pa.uint8(),
        "destination_prefix_reply": pa.uint8(),
        "quoted_ttl": pa.uint8(),
        "capture_time_us": pa.uint64(),
        "rtt_us": pa.uint32(),
        "trace_end": pa.string(),
        "trace_switch": pa.string(),
        "trace_switch_ttl": pa.uint8(),
        "trace_failure_probability": pa.float64(),
        "trace_probes": pa.uint32(),
        "trace_began_us": pa.uint64(),
        "trace_ended_us": pa.uint64(),
        "trace_unsteady": pa.list_(pa.uint8()),
        "trace_gone": pa.list_(pa.uint8()),
        "trace_links": pa.list_(_LINK),
        "trace_alias_probes": pa.uint32(),
        "trace_aliases": pa.list_(_PAIR),
        "trace_counter": pa.string(),
        "trace_counter_rate": pa.float64(),
        "trace_source": _ADDRESS,
    }
)


def read_routers(simulation: Simulation, scratch: Path) -> dict[str, int]:
    """The router of each address of a simulated Internet."""
    simulation.write_truth(scratch)
    rows = pq.read_table(scratch / "interfaces.parquet").to_pylist()
    return {str(ip_address(row["address"])): row["router"] for row in rows}


def write_lists(
    asked: list[dict[str, Any]], router_of: Mapping[str, int], round_number: int
) -> bytes:
    """A part about rows of a plan: a counter of one address, aliases among several."""
    rows = [
        {
            **_NOTHING,
            "prefix_index": row["prefix_index"],
            "round": round_number,
            "trace_aliases": _pair(row["addresses"], router_of),
            **_count(row["addresses"]),
        }
        for row in asked
    ]
    out = io.BytesIO()
    table = pa.Table.from_pylist(rows, _COLUMNS)
    head = make_head(len(rows), end=len(rows), traced=len(rows))
    pq.write_table(table.replace_schema_metadata(head), out)
    return out.getvalue()


def _count(addresses: list[bytes]) -> dict[str, Any]:
    alone = {"trace_counter": "counter", "trace_counter_rate": RATE}
    return alone if len(addresses) == 1 else {}


def _pair(addresses: list[bytes], router_of: Mapping[str, int]) -> list[dict[str, Any]]:
    said = {"ttl": 0, "verdict": "accept", "test": "echo ids", "round": 1}
    return [
        {"first_addr": one, "second_addr": other, **said}
        for one, other in combinations(sorted(addresses), 2)
        if router_of[str(read_address(one))] == router_of[str(read_address(other))]
    ]
