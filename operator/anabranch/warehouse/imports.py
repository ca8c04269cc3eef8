"""The queries of an import: from traces of other tools to the rows of parts.

*Rows* is the SQL for traces or replies as the engine's ``TraceReader`` gives them.
Protocols are numbers of IP protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.warehouse.queries import Piece


def count_others(rows: str, protocols: Iterable[int]) -> str:
    """Return the query for the number of traces by other protocols: traces."""
    return (
        f"SELECT count() AS traces FROM {rows} WHERE trace_end IS NOT NULL "
        f"AND probe_protocol NOT IN ({_list(protocols)})"
    )


def count_other_replies(rows: str, protocols: Iterable[int]) -> str:
    """Return the query for the number of replies to other protocols: replies."""
    return (
        f"SELECT count() AS replies FROM {rows} "
        f"WHERE probe_protocol NOT IN ({_list(protocols)})"
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
        "greatest(max(probe_ttl), 1) AS last, "
        "countIf(trace_end IS NOT NULL) AS traces "
        f"FROM {rows} WHERE probe_protocol IN ({_list(protocols)}) "
        "GROUP BY address, protocol"
    )


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


def place_replies(rows: str, targets: str, piece: Piece) -> str:
    """Return the query for the replies of a piece as parts have them, and their block.

    The flows of a target are its destinations and source ports, numbered in order.
    """
    placed = (
        f"SELECT prefix, protocol, prefix_index, block FROM {targets} "
        f"WHERE {piece.condition}"
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


def _list(protocols: Iterable[int]) -> str:
    return ", ".join(str(number) for number in protocols)
