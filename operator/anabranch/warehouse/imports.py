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


def _list(protocols: Iterable[int]) -> str:
    return ", ".join(str(number) for number in protocols)
