"""The queries for parts that hold traces.

Their rows are probes, answered or not. What a tracer concluded stands in the first row
of each destination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.warehouse.queries import Replies, is_public

if TYPE_CHECKING:
    from anabranch.warehouse.queries import Piece

_ANSWER = ("reply_src_addr", "reply_protocol", "destination_prefix_reply")
"""The columns that are null in traces only where no reply came."""
CONCLUSION = "^trace_"
"""The pattern of the columns that only the first row of a trace has."""
_TIMES = ("capture_time_us - rtt_us", "capture_time_us")
"""When a probe was sent, and when its reply came."""
_TIMES_OF_TRACES = ("trace_began_us", "trace_ended_us")
"""When a trace began, and when it ended."""


def choose_answered(parts: str) -> str:
    """Return the SQL for the rows of traces with replies, as other parts have them.

    What traces of other tools do not say of a reply stays null.
    """
    there = ", ".join(f"assumeNotNull({name}) AS {name}" for name in _ANSWER)
    # In one query, the condition would see the columns that replace the others.
    answered = f"SELECT * FROM {parts} WHERE reply_protocol IS NOT NULL"
    return f"(SELECT * EXCEPT ('{CONCLUSION}') REPLACE ({there}) FROM ({answered}))"


def read_traces(parts: str) -> str:
    """Return the query for the conclusions of traces, a row each.

    Its columns are prefix_index, destination, switch, switch_ttl, end_reason, probes,
    failure_probability, unsteady_ttls, gone_ttls, began_us and ended_us.
    """
    return (
        "SELECT prefix_index, probe_dst_addr AS destination, "
        "assumeNotNull(trace_end) AS end_reason, "
        "ifNull(trace_switch, '') AS switch, ifNull(trace_switch_ttl, 0) AS "
        "switch_ttl, trace_failure_probability AS failure_probability, "
        "assumeNotNull(trace_probes) AS probes, trace_unsteady AS unsteady_ttls, "
        "trace_gone AS gone_ttls, "
        "assumeNotNull(trace_began_us) AS began_us, "
        "assumeNotNull(trace_ended_us) AS ended_us "
        f"FROM {parts} WHERE trace_end IS NOT NULL"
    )


def read_aliases(parts: str) -> str:
    """Return the query for what alias resolution says, a row for each pair of a trace.

    Its columns are prefix_index, ttl, first_addr, second_addr, verdict, test and round.
    """
    pairs = f"SELECT prefix_index, arrayJoin(trace_aliases) AS pair FROM {parts}"
    return (
        "SELECT prefix_index, pair.ttl AS ttl, "
        "toFixedString(pair.first_addr, 16) AS first_addr, "
        "toFixedString(pair.second_addr, 16) AS second_addr, "
        "toString(pair.verdict) AS verdict, ifNull(pair.test, '') AS test, "
        f"pair.round AS round FROM ({pairs} WHERE trace_end IS NOT NULL)"
    )


def read_counters(parts: str) -> str:
    """Return the query for what addresses show that were probed alone, a row each.

    Its columns are prefix_index, rate (of a counter, in identifications a second) and
    source (another address that the router replies from); both may be null.
    """
    return (
        "SELECT prefix_index, trace_counter_rate AS rate, trace_source AS source "
        f"FROM {parts} WHERE trace_counter IS NOT NULL"
    )


def find_span(rows: str, *, is_traced: bool) -> str:
    """Return the query for when a run began and ended: start, stop, in seconds."""
    sent, came = _TIMES_OF_TRACES if is_traced else _TIMES
    return (
        f"SELECT toUInt32(intDiv(ifNull(min({sent}), 0), 1000000)) AS start, "
        f"toUInt32(intDiv(ifNull(max({came}), 0), 1000000)) AS stop FROM {rows}"
    )


def find_spans(rows: str, *, is_traced: bool) -> str:
    """Return the query for when probing began and ended in each step of a run.

    Its columns are step, as in keys, and first_us and last_us. Of batch tools, these
    are the times of the first and the last probe with a reply.
    """
    first, last = _TIMES_OF_TRACES if is_traced else (_TIMES[0], _TIMES[0])
    return (
        "SELECT extract(_path, '/([0-9]+-[0-9]+)/replies/') AS step, "
        f"toUInt64(ifNull(min({first}), 0)) AS first_us, "
        f"toUInt64(ifNull(max({last}), 0)) AS last_us FROM {rows} GROUP BY step"
    )


def count_ends(traces: str) -> str:
    """Return the query for how many traces ended by which reason, and their probes.

    ``switched`` are those that went over from MDA-Lite to the MDA. ``traces`` is the
    query for the table of traces.
    """
    return (
        "SELECT end_reason, count() AS traces, countIf(switch != '') AS switched, "
        f"sum(probes) AS probes FROM ({traces}) GROUP BY end_reason "
        "ORDER BY traces DESC, end_reason"
    )


def sort_replies(rows: str) -> str:
    """Return the query for replies of batch tools as rows of traces have them.

    They are sorted by target, flow and TTL. Of several replies to a probe the first one
    counts.
    """
    return (
        "SELECT *, toUInt8(1) AS attempt, "
        "toUInt64(capture_time_us - rtt_us) AS sent_us "
        f"FROM {rows} ORDER BY prefix_index, flow, probe_ttl, capture_time_us "
        "LIMIT 1 BY prefix_index, flow, probe_ttl"
    )


def sort_pings(rows: str, pinged: str) -> str:
    """Return the query for replies to echo requests, as ``sort_replies`` does.

    ``pinged`` is the SQL for the addresses that were pinged. One that nothing answered
    has a row, too, whose attempt is 0.
    """
    return (
        "SELECT pinged.prefix_index AS prefix_index, pinged.prefix AS probe_dst_addr, "
        "pinged.protocol AS probe_protocol, requests, "
        "if(attempt = 0, NULL, heard.reply_src_addr) AS reply_src_addr, heard.* EXCEPT "
        "(prefix_index, probe_dst_addr, probe_protocol, reply_src_addr) "
        f"FROM {pinged} AS pinged LEFT JOIN ({sort_replies(rows)}) AS heard "
        "USING (prefix_index) ORDER BY prefix_index, flow"
    )


def read_links(parts: str, piece: Piece, *, drop_private: bool) -> str:
    """Return the query for the links that traces found, as ``find_links`` does.

    A tracer knows better than a query which replies make a link: it knows where all
    flows pass one router, and where the load is balanced by packet.
    """
    links = (
        "SELECT prefix_index, round, arrayJoin(trace_links) AS link "
        f"FROM {parts} WHERE {piece.condition} AND trace_end IS NOT NULL"
    )
    public = "1"
    if drop_private:
        public = f"{is_public('near_addr')} AND {is_public('far_addr')}"
    return f"""
        SELECT prefix_index, link.near_ttl AS near_ttl, round AS near_round,
            round AS far_round, toFixedString(link.near_addr, 16) AS near_addr,
            toFixedString(link.far_addr, 16) AS far_addr, link.flows AS flows,
            link.first_end AS first_end, link.last_start AS last_start,
            link.is_unlikely AS is_unlikely
        FROM ({links})
        WHERE {public}
        ORDER BY prefix_index, near_ttl
    """


def find_gaps(parts: str, piece: Piece, *, drop_private: bool) -> str:
    """Return the query for pairs of routers with one silent router between them.

    A flow had replies from both, near and far, at TTLs that differ by two, and none to
    any attempt in between.
    """
    counts = Replies(drop_private).condition
    hops = (
        "SELECT prefix_index, probe_dst_addr, flow, probe_ttl AS ttl, "
        "max(reply_protocol IS NOT NULL) AS has_reply, "
        f"anyIf(assumeNotNull(reply_src_addr), ifNull({counts}, 0)) AS addr, "
        f"max(ifNull({counts}, 0)) AS is_router "
        f"FROM {parts} WHERE {piece.condition} AND attempt > 0 "
        "GROUP BY prefix_index, probe_dst_addr, flow, probe_ttl"
    )
    following = ", ".join(
        f"leadInFrame({name}, {hop}) OVER w AS {name}_{hop}"
        for name in ("ttl", "has_reply", "addr", "is_router")
        for hop in (1, 2)
    )
    return f"""
        SELECT DISTINCT toFixedString(addr, 16) AS near,
            toFixedString(addr_2, 16) AS far
        FROM (
            SELECT ttl, addr, is_router, {following}
            FROM ({hops})
            WINDOW w AS (
                PARTITION BY prefix_index, probe_dst_addr, flow ORDER BY ttl
                ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING
            )
        )
        WHERE is_router AND is_router_2 AND NOT has_reply_1 AND addr != addr_2
            AND ttl_1 = ttl + 1 AND ttl_2 = ttl + 2
    """
