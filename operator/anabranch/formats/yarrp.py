"""Yarrp's own output: replies as text, a file for each agent and kind of probe."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST
from anabranch.runs.chain import read_summary
from anabranch.warehouse.results import NothingYetError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.results import Results

_TYPES = {
    (1, 4): "ICMP",
    (17, 4): "UDP",
    (58, 6): "ICMP6",
    (17, 6): "UDP6",
    (6, 4): "TCP_{}",
    (6, 6): "TCP6_{}",
}
"""Yarrp's names of probes, by protocol and IP version. Those of TCP also say SYN or
ACK."""
_IPV4 = "position(probe_dst_addr, ':') = 0"
_HEADER = f"if({_IPV4}, 0, 40)"
"""Yarrp's sizes of IPv6 packets are those behind the header."""
_FIELDS = {
    "target": "probe_dst_addr",
    "sec": "intDiv(capture_time_us, 1000000)",
    "usec": "capture_time_us % 1000000",
    "type": "reply_icmp_type",
    "code": "reply_icmp_code",
    "ttl": "probe_ttl",
    "hop": "reply_src_addr",
    "rtt": "rtt_us",
    "ipid": "ifNull(reply_id, 0)",
    "psize": f"if(quoted_length > {_HEADER}, quoted_length - {_HEADER}, 0)",
    "rsize": f"if(reply_size > {_HEADER}, reply_size - {_HEADER}, 0)",
    "rttl": "ifNull(reply_ttl, 0)",
    "rtos": "ifNull(reply_tos, 0)",
    "mpls": "if(empty(reply_mpls_labels), '0', arrayStringConcat(arrayMap(label -> "
    "concat(toString(label.1), ':', toString(label.4)), reply_mpls_labels), ','))",
    "count": "0",
}
"""The SQL for Yarrp's fields, in its order. ``count`` is how many probes Yarrp had sent
until then, which is not known."""


def write_yarrp(results: Results, folder: Path) -> None:
    """Write files to a new folder: ``AGENT-TYPE.yrp``, such as ``paris-UDP6.yrp``.

    Answers to TCP are left out, since Yarrp reads ICMP alone.

    Raises:
        NothingYetError: If there are no replies yet.
        OSError: If a file can't be written.
        QueryError: If ClickHouse fails.
    """
    agents = [agent for agent in results.agents if "replies" in agent.kinds]
    if not agents:
        raise NothingYetError("there are no replies yet; let it run for a while")
    folder.mkdir()
    for agent in agents:
        for kind in _find_kinds(agent):
            _write_kind(agent, kind, folder)


def _read_replies(agent: AgentResults) -> str:
    return f"(SELECT * FROM ({agent.replies}) WHERE reply_protocol IN (1, 58))"


def _find_kinds(agent: AgentResults) -> list[dict[str, Any]]:
    """Return a row for each kind of probe: what the header says."""
    found = agent.engine.read(
        f"SELECT probe_protocol AS protocol, if({_IPV4}, 4, 6) AS version, "
        "any(probe_src_addr) AS source, any(probe_dst_port) AS port, "
        "toInt64(min(capture_time_us - rtt_us)) AS start, "
        "toInt64(max(capture_time_us)) AS stop "
        f"FROM {_read_replies(agent)} GROUP BY protocol, version ORDER BY ALL"
    )
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def _write_kind(agent: AgentResults, kind: dict[str, Any], folder: Path) -> None:
    record = agent.record
    protocol, version = kind["protocol"], kind["version"]
    plan = read_summary(agent.store, agent.keys.step(FIRST))
    segment = (plan and plan.segment) or ""
    name = _TYPES[protocol, version].format(segment.upper())
    header = {
        "Dst_Port": kind["port"],
        "Max_TTL": record.agent.spec.max_ttl,
        "Min_TTL": record.agent.spec.min_ttl,
        "Output_Fields": " ".join(_FIELDS),
        "Program": f"Anabranch v{metadata.version('anabranch')}",
        "RTT_Granularity": "us",
        "Rate": record.rate,
        "SourceIP": kind["source"],
        "Start": _tell(kind["start"]),
        "Trace_Type": name,
    }
    words = ", ".join(f"toString({field})" for field in _FIELDS.values())
    query = (
        f"SELECT arrayStringConcat([{words}], ' ') FROM {_read_replies(agent)} "
        f"WHERE probe_protocol = {protocol} AND if({_IPV4}, 4, 6) = {version}"
    )
    with (folder / f"{agent.keys.agent}-{name}.yrp").open("xb") as out:
        for key, value in header.items():
            out.write(f"# {key}: {value}\n".encode())
        out.writelines(agent.engine.stream(query, "TSVRaw"))
        out.write(f"# End: {_tell(kind['stop'])}\n".encode())


def _tell(time_us: int) -> str:
    """Return a time as Yarrp writes it."""
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime(
        "%a, %d %b %Y %H:%M:%S UTC"
    )
