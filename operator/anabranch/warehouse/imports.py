"""The queries of an import: from traces of other tools to the rows of parts.

*Rows* is the SQL for traces as the engine's ``TraceReader`` gives them. Protocols are
numbers of IP protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FLOWS_A_TRACE = 1 << 16
"""The flows of a destination's next trace begin at the next multiple of this, so that
replies of different times make no link."""


def count_others(rows: str, protocols: Iterable[int]) -> str:
    """Return the query for the number of traces by other protocols: traces."""
    return (
        f"SELECT uniqExactIf(trace, probe_protocol NOT IN ({_list(protocols)})) "
        f"AS traces FROM {rows}"
    )


def count_graphs(rows: str) -> str:
    """Return the query for the number of traces of several paths: traces."""
    last_ttl = "JSONExtractInt(assumeNotNull(trace_context), 'last_ttl')"
    return (
        f"SELECT countIf({last_ttl} = 0 AND probe_ttl > 0) AS traces FROM {rows} "
        "WHERE trace_end IS NOT NULL"
    )


def list_destinations(rows: str, protocols: Iterable[int]) -> str:
    """Return the query for destinations: address, protocol, first, last, traces.

    ``first`` and ``last`` are the TTLs at which a destination was probed.
    """
    return (
        "SELECT probe_dst_addr AS address, probe_protocol AS protocol, "
        "greatest(minIf(probe_ttl, probe_ttl > 0), 1) AS first, "
        "greatest(max(probe_ttl), 1) AS last, uniqExact(trace) AS traces "
        f"FROM {rows} WHERE probe_protocol IN ({_list(protocols)}) "
        "GROUP BY address, protocol"
    )


def place_traces(rows: str, targets: str) -> str:
    """Return the query for the place of each trace: trace, prefix_index, block, nth.

    ``nth`` counts the traces of a destination, from 0.
    """
    traced = (
        "SELECT trace, probe_dst_addr AS prefix, probe_protocol AS protocol "
        f"FROM {rows} WHERE trace_end IS NOT NULL"
    )
    return (
        "SELECT trace, prefix_index, block, toUInt32(row_number() OVER "
        "(PARTITION BY prefix_index ORDER BY trace) - 1) AS nth "
        f"FROM ({traced}) AS traced INNER JOIN {targets} AS targets "
        "USING (prefix, protocol)"
    )


def list_blocks(places: str) -> str:
    """Return the query for the blocks that have traces."""
    return f"SELECT DISTINCT block FROM {places} ORDER BY block"


def read_placed(rows: str, places: str, block: int) -> str:
    """Return the query for a block's rows as parts have them, trace after trace."""
    placed = f"SELECT * FROM {places} WHERE block = {block}"
    return (
        "SELECT found.* EXCEPT (trace, flow), toUInt8(1) AS round, "
        f"toUInt32(flow + {FLOWS_A_TRACE} * nth) AS flow, prefix_index, "
        "CAST(NULL AS Nullable(UInt8)) AS rewritten, '' AS interface, "
        f"toFixedString('', 16) AS gateway FROM {rows} AS found "
        f"INNER JOIN ({placed}) AS placed USING (trace) "
        "ORDER BY prefix_index, nth, trace_end IS NULL, flow, probe_ttl, attempt"
    )


def read_caracal(file: str) -> str:
    """Return the query for the replies in a CSV file of caracal's, as parts have them.

    What the file does not say is null. Its times are whole seconds.
    """
    structure = ", ".join(f"{name} {kind}" for name, kind in CARACAL.items())
    addresses = ", ".join(
        f"toFixedString(IPv6StringToNum({name}), 16) AS {name}"
        for name, kind in CARACAL.items()
        if name.endswith("_addr")
    )
    labels = "Array(Tuple(label UInt32, exp UInt8, bos UInt8, ttl UInt8))"
    unknown = ", ".join(
        f"CAST(NULL AS Nullable({kind})) AS {name}" for name, kind in _UNKNOWN.items()
    )
    return (
        f"SELECT * EXCEPT (reply_mpls_labels) REPLACE ({addresses}), "
        f"CAST(reply_mpls_labels AS {labels}) AS reply_mpls_labels, "
        "toUInt64(capture_timestamp) * 1000000 AS capture_time_us, "
        f"toUInt32(rtt) * 100 AS rtt_us, {unknown}, '' AS interface, "
        "toFixedString('', 16) AS gateway "
        f"FROM file('{_quote(file)}', 'CSVWithNames', '{structure}')"
    )


def find_columns(file: str) -> str:
    """Return the query for the names of a CSV file's columns: name."""
    return f"DESCRIBE TABLE file('{_quote(file)}', 'CSVWithNames')"


def _quote(file: str) -> str:
    return file.replace("\\", "\\\\").replace("'", "\\'")


def list_prefixes(rows: str, protocols: Iterable[int]) -> str:
    """Return the query for the /24s and /64s that replies are about.

    Its columns are address, length, protocol, first and last, as those of
    ``list_destinations``.
    """
    return (
        f"SELECT {_PREFIX} AS address, if({_IS_V4}, 24, 64) AS length, "
        "probe_protocol AS protocol, min(probe_ttl) AS first, max(probe_ttl) AS last "
        f"FROM {rows} WHERE probe_protocol IN ({_list(protocols)}) "
        "GROUP BY address, length, protocol"
    )


def place_replies(rows: str, targets: str, block: int) -> str:
    """Return the query for a block's replies as parts have them, target by target.

    The flows of a target are its destinations and source ports, numbered in order.
    """
    placed = (
        f"SELECT prefix, protocol, prefix_index FROM {targets} WHERE block = {block}"
    )
    return (
        "SELECT * EXCEPT (prefix, protocol), toUInt32(dense_rank() OVER (PARTITION BY "
        "prefix_index ORDER BY probe_dst_addr, probe_src_port, probe_dst_port) - 1) "
        "AS flow, toUInt8(startsWith(reply_src_addr, substring(prefix, 1, "
        f"if({_IS_V4}, 15, 8)))) AS destination_prefix_reply "
        f"FROM (SELECT *, {_PREFIX} AS prefix, probe_protocol AS protocol FROM {rows}) "
        f"AS found INNER JOIN ({placed}) AS placed USING (prefix, protocol) "
        "ORDER BY prefix_index, flow, probe_ttl"
    )


_IS_V4 = "startsWith(probe_dst_addr, unhex('00000000000000000000ffff'))"
_PREFIX = (
    f"toFixedString(if({_IS_V4}, substring(probe_dst_addr, 1, 15), "
    "substring(probe_dst_addr, 1, 8)), 16)"
)
"""SQL for the first address of a destination's /24 or /64."""
CARACAL = {
    "capture_timestamp": "UInt32",
    "probe_protocol": "UInt8",
    "probe_src_addr": "String",
    "probe_dst_addr": "String",
    "probe_src_port": "UInt16",
    "probe_dst_port": "UInt16",
    "probe_ttl": "UInt8",
    "quoted_ttl": "UInt8",
    "reply_src_addr": "String",
    "reply_protocol": "UInt8",
    "reply_icmp_type": "UInt8",
    "reply_icmp_code": "UInt8",
    "reply_ttl": "UInt8",
    "reply_size": "UInt16",
    "reply_mpls_labels": "String",
    "rtt": "UInt16",
    "round": "UInt8",
}
"""The columns of caracal's replies, with their types."""
_UNKNOWN = {
    "reply_id": "UInt16",
    "reply_tos": "UInt8",
    "quoted_tos": "UInt8",
    "quoted_length": "UInt16",
    "rewritten": "UInt8",
}
"""The columns of parts that caracal's replies do not tell."""


def _list(protocols: Iterable[int]) -> str:
    return ", ".join(str(number) for number in protocols)
