"""A prober as a command, for the namespaces of a simulation: options as JSON."""

from __future__ import annotations

import json
import signal
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from anabranch_engine import Plan, PrefixSet, Prober, Simulation, TargetList

Address = IPv4Address | IPv6Address
"""A probe: protocol, destination, source port and TTL."""
Probe = tuple[int, Address, int, int]

SPORT, DPORT = 24000, 33434
COUNTERS = (
    *("sent", "unsent", "forbidden", "replies", "foreign"),
    *("forged", "unplanned", "late", "dropped", "stalled_us"),
)


def write_plan(path: Path, lines: list[str], **changes: Any) -> Plan:
    """The plan of a first round over the lines of a target list."""
    list_path = path.with_suffix(".csv")
    list_path.write_text("".join(f"{line}\n" for line in lines))
    with list_path.open("rb") as file:
        targets = TargetList.read(file).split(24, 64, forbidden=PrefixSet())
    header: dict[str, Any] = {
        "initial_source_port": SPORT,
        "destination_port": DPORT,
        "flow_mapper": "RandomFlowMapper",
        "seed": 42,
        "order_seed": 1,
    }
    return Plan.write(path, targets, **header | changes)


def command(plan: Plan, parts: Path, **options: Any) -> list[str]:
    """What probes in a simulation: its output is the statistics as JSON."""
    usual = {
        "order": "test",
        "round_number": 1,
        "rate": 1000,
        "max_rate_per_prefix": 100,
        "forbidden": [],
        "wait_seconds": 0.5,
    }
    all_of_it = json.dumps(usual | options)
    return [sys.executable, __file__, str(plan.path), str(parts), all_of_it]


def read_parts(parts: Path) -> list[dict[str, Any]]:
    """All replies of all parts."""
    files = sorted(parts.rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def read_address(mapped: bytes) -> Address:
    """An address from the 16 bytes of a part."""
    address = IPv6Address(mapped)
    return address.ipv4_mapped or address


def find_replies(rows: list[dict[str, Any]]) -> dict[Probe, tuple[str, str]]:
    """The reply to each probe, as the truth has it; no probe may have two."""
    replies: dict[Probe, tuple[str, str]] = {}
    for row in rows:
        probe = (
            row["probe_protocol"],
            read_address(row["probe_dst_addr"]),
            row["probe_src_port"],
            row["probe_ttl"],
        )
        kind = KINDS[row["reply_protocol"], row["reply_icmp_type"]]
        assert probe not in replies, f"{probe} has two replies"
        replies[probe] = (kind, str(read_address(row["reply_src_addr"])))
    return replies


KINDS = {
    (1, 0): "echo",
    (1, 3): "port unreachable",
    (1, 11): "time exceeded",
    (58, 1): "port unreachable",
    (58, 3): "time exceeded",
    (58, 129): "echo",
}


def predict(
    simulation: Simulation, probe: Probe, vantage_point: int = 0
) -> tuple[str, str] | None:
    """What the truth says comes back to a probe."""
    protocol, destination, port, ttl = probe
    octets = {17: port << 16 | DPORT, 1: 8 << 24 | port, 58: 128 << 24 | port}[protocol]
    return simulation.reply(vantage_point, destination, protocol, octets, ttl)


def main() -> None:
    """Probes until the end, or a SIGTERM."""
    plan, parts, options = Plan(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    given = json.loads(options)
    given["forbidden"] = PrefixSet(given["forbidden"])
    given["sources"] = [ip_address(source) for source in given.pop("sources", [])]
    prober = Prober(plan, parts, **given)
    signal.signal(signal.SIGTERM, lambda *_: prober.stop())
    statistics = prober.run()
    json.dump({name: getattr(statistics, name) for name in COUNTERS}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
