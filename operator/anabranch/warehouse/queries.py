"""The queries of a round job; each function returns the text of a SELECT.

Their arguments are the SQL of sources: reply parts, or the results of earlier queries.
A *flow* is identified by prefix_index, which stands for prefix and protocol, and flow.
Addresses are 16 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from anabranch.rounds.crossings import LATE
from anabranch.rounds.evidence import Scope
from anabranch.rounds.steps import WINDOW_TTLS

PRIVATE = (
    ("00000000", "00ffffff"),
    ("0a000000", "0affffff"),
    ("64400000", "647fffff"),
    ("7f000000", "7fffffff"),
    ("ac100000", "ac1fffff"),
    ("c0000000", "c00000ff"),
    ("c0000200", "c00002ff"),
    ("c0586300", "c05863ff"),
    ("c0a80000", "c0a8ffff"),
    ("c6120000", "c613ffff"),
    ("c6336400", "c63364ff"),
    ("cb007100", "cb0071ff"),
    ("e0000000", "ffffffff"),
)
"""The IPv4 ranges that diamond-miner regards as private, in hexadecimal."""


@dataclass(frozen=True)
class Piece:
    """A share of a block's prefixes that is small enough to fit into memory."""

    number: int
    of: int

    @property
    def condition(self) -> str:
        """The SQL condition that selects the piece's rows."""
        if self.of == 1:
            return "1"
        return f"prefix_index % {self.of} = {self.number}"


WHOLE = Piece(0, 1)
IS_TIME_EXCEEDED = (
    "(reply_protocol = 1 AND reply_icmp_type = 11 "
    "OR reply_protocol = 58 AND reply_icmp_type = 3)"
)
"""SQL for whether a reply says that the probe's TTL expired on the way."""
REPEATS = 3
"""The number of replies from interfaces that a flow met before, from which on the flow
counts as a loop."""
_CHANGES = "groupUniqArray((changed_after, changed_before, between_steps))"
"""SQL for the times between which the routes to a prefix changed, and how well they are
known."""
_JOINS_STEPS = (
    f"(near_round != far_round OR near_round = 1 AND near_ttl % {WINDOW_TTLS} = 0)"
)
"""SQL for whether a link joins replies of two steps."""
_IS_STRADDLING = (
    "arrayExists(change -> first_end >= change.1 AND last_start <= change.2 "
    f"AND (NOT change.3 OR {_JOINS_STEPS}), changes)"
)
"""SQL for whether all flows that crossed a link may have had its ends' replies before
and after a route change. A change between steps leaves the links within steps alone."""
_CROSSINGS = (
    "minMap(map(assumeNotNull(cityHash64(near_addr, far_addr)), near_ttl::UInt16 * 256 "
    "+ greatest(near_round, far_round)))"
)
"""SQL for the lowest near TTL of each link of a prefix, and the round that saw it there
first, in one number; by the hash of the link's ends."""
_IS_WAY_BACK = (
    "ifNull(crossings[assumeNotNull(cityHash64(far_addr, near_addr))] BETWEEN 1 "
    "AND crossings[assumeNotNull(cityHash64(near_addr, far_addr))] - 1, 0)"
)
"""SQL for whether a link was crossed in the other direction at a lower TTL, or earlier
at the same."""


@dataclass(frozen=True)
class Replies:
    """The choice of the replies that count, by diamond-miner's default.

    Only time exceeded counts, and not from the probed prefix. With ``drop_private``,
    replies from private addresses do not count: elsewhere these are other interfaces.

    Replies that quote TTL 0 do not count either. The router at that hop forwarded the
    probe instead of replying, and the next router replied in its place (Augustin et
    al., "Avoiding traceroute anomalies with Paris traceroute", IMC 2006).
    """

    drop_private: bool

    @property
    def condition(self) -> str:
        """The SQL condition for replies that count."""
        conditions = [
            IS_TIME_EXCEEDED,
            "destination_prefix_reply = 0",
            # Some formats do not tell what replies quote.
            "ifNull(quoted_ttl, 1) > 0",
        ]
        if self.drop_private:
            conditions.append(is_public("reply_src_addr"))
        return " AND ".join(conditions)

    def choose(self, source: str, piece: Piece = WHOLE) -> str:
        """Return the query for the rows of a source that count.

        Its columns are prefix_index, flow, ttl, round, addr, and sent: when the probe
        was sent, in microseconds since 1970.
        """
        return (
            "SELECT prefix_index, flow, probe_ttl AS ttl, round, "
            f"reply_src_addr AS addr, capture_time_us - rtt_us AS sent FROM {source} "
            f"WHERE {piece.condition} AND {self.condition}"
        )

    def choose_first(self, source: str, piece: Piece = WHOLE) -> str:
        """Return the same query for traces, where a probe may be sent again.

        Of the replies to a flow and a TTL, that to the first attempt counts.
        """
        first = (
            f"SELECT * FROM {source} WHERE {piece.condition} "
            "ORDER BY attempt LIMIT 1 BY prefix_index, flow, probe_ttl"
        )
        return self.choose(f"({first})", piece)


def is_public(column: str) -> str:
    """Return the SQL condition for addresses that are not private.

    ClickHouse analyses it wherever a query repeats its sources, so it has few terms:
    it rounds an address down to where a private range, or what is behind one, begins.
    """
    firsts = [int(first, 16) for first, _ in PRIVATE]
    behind = [int(last, 16) + 1 for _, last in PRIVATE]
    begins = sorted({*firsts, *(each for each in behind if each < 1 << 32)})
    number = f"reinterpretAsUInt32(reverse(substring({column}, 13)))"
    return (
        f"NOT (startsWith({column}, unhex('fd')) "
        f"OR startsWith({column}, unhex('{'0' * 20}ffff')) "
        f"AND roundDown({number}, {begins}) IN ({', '.join(map(str, firsts))}))"
    )


def find_prefixes(replies: str, earlier: str | None, changes: str) -> str:
    """Return the query for facts about the prefixes with replies.

    Prefixes whose route changed are among them even if they have none in this step.
    A prefix has *amplification* if a probe had two replies, and *loops* if a flow met
    an interface twice. ``repeats`` is the largest number of replies that a flow had
    from interfaces that it had met before, including earlier steps. ``changes`` is the
    query of ``find_changes``. If the route changed, it did between ``changed_after``
    and ``changed_before``; otherwise both are 0, and so is ``between_steps``.
    """
    all_of_it = "count() {}, arrayUniq(groupArray(cityHash64(addr))) {}"
    if earlier is None:
        counts = (
            f"{all_of_it.format('AS heard', 'AS addrs')}, heard AS every, "
            "addrs AS every_addr, arrayUniq(groupArray(ttl)) AS ttls"
        )
    else:
        counts = (
            f"{all_of_it.format('AS every', 'AS every_addr')}, "
            "countIf(is_new) AS heard, arrayUniq(groupArrayIf(ttl, is_new)) AS ttls, "
            "arrayUniq(groupArrayIf(cityHash64(addr), is_new)) AS addrs"
        )
    return f"""
        SELECT prefix_index, sum(heard) AS replies,
            max(heard > ttls) AS has_amplification, max(addrs < heard) AS has_loops,
            toUInt32(max(every - every_addr)) AS repeats,
            max(after) AS changed_after, max(before) AS changed_before,
            max(between) AS between_steps
        FROM (
            SELECT prefix_index, heard, ttls, addrs, every, every_addr,
                toUInt64(0) AS after, toUInt64(0) AS before, toUInt8(0) AS between
            FROM (
                SELECT prefix_index, {counts}
                FROM ({_add_earlier(replies, earlier)})
                GROUP BY prefix_index, flow
            )
            UNION ALL
            SELECT prefix_index, 0, 0, 0, 0, 0,
                changed_after, changed_before, between_steps
            FROM ({changes})
        )
        GROUP BY prefix_index
        ORDER BY prefix_index
    """


def _add_earlier(replies: str, earlier: str | None) -> str:
    """Return the query for a step's replies and earlier replies to the same flows."""
    rows = f"SELECT *, 1 AS is_new FROM ({replies})"
    if earlier is None:
        return rows
    flows = f"SELECT prefix_index, flow FROM ({replies})"
    return (
        f"{rows} UNION ALL SELECT *, 0 AS is_new FROM ({earlier}) "
        f"WHERE (prefix_index, flow) IN ({flows})"
    )


def find_links(
    replies: str, earlier: str | None, prefixes: str, *, repeats: bool
) -> str:
    """Return the query for the links of a step's flows, with both ends' rounds.

    A link joins two addresses that replied to the same flow at neighbouring TTLs. At
    least one of the two replies is of this step. Prefixes with amplification have no
    links, since it is unclear which reply to believe. ``flows`` counts the flows that
    crossed the link. Each of them sent two probes for it: ``first_end`` is when the
    first flow had sent both, and ``last_start`` is when the last flow sent its first.

    ``is_unlikely`` is set if each flow that crossed the link had met the far end
    before, or met one of the ends at another TTL too: the flow loops, or its route
    changed meanwhile. If flows of the prefix loop, a link to an end that is nearer is
    unlikely too. ``repeats`` must be true if any flow met an interface twice.
    """
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    repeating = f"SELECT prefix_index FROM {prefixes} WHERE repeats > 0"
    looping = f"SELECT prefix_index FROM {prefixes} WHERE repeats >= {REPEATS}"
    rows = (
        f"SELECT * FROM ({_add_earlier(replies, earlier)}) "
        f"WHERE prefix_index NOT IN ({amplified})"
    )
    simple = f"{rows} AND prefix_index NOT IN ({repeating})"
    rows = f"{rows} AND prefix_index IN ({repeating})"
    within = "OVER (PARTITION BY prefix_index, flow, addr)"
    met = (
        f"SELECT *, min(ttl) {within} AS first_ttl, max(ttl) {within} AS last_ttl, "
        f"min(ttl) OVER (PARTITION BY prefix_index, addr) AS distance FROM ({rows})"
    )
    columns = "prefix_index, ttl, round, far_round, addr, next_addr, end, start"
    unlikely = f"""next_first_ttl <= ttl OR if(prefix_index IN ({looping}),
        next_distance < distance,
        first_ttl != last_ttl OR next_first_ttl != next_last_ttl)"""
    pairs = f"SELECT {columns}, 0 AS unlikely FROM ({_pair(simple)})"
    if repeats:
        twice = _pair(met, "first_ttl", "last_ttl", "distance")
        pairs += f" UNION ALL SELECT {columns}, {unlikely} AS unlikely FROM ({twice})"
    return f"""
        SELECT prefix_index, toUInt8(ttl) AS near_ttl, round AS near_round, far_round,
            toFixedString(addr, 16) AS near_addr,
            toFixedString(next_addr, 16) AS far_addr, toUInt32(count()) AS flows,
            toUInt64(min(end)) AS first_end, toUInt64(max(start)) AS last_start,
            min(unlikely) AS is_unlikely
        FROM ({pairs})
        GROUP BY ALL
        ORDER BY prefix_index, near_ttl
    """


def _pair(rows: str, *columns: str) -> str:
    """Return the query for pairs of replies to a flow at neighbouring TTLs.

    The two replies have different addresses. Each pair has these columns of both.
    """
    more = "".join(f", {name}, next_{name}" for name in columns)
    both = "".join(
        f", {name}, leadInFrame({name}) OVER w AS next_{name}" for name in columns
    )
    kept = "".join(f", {name}" for name in columns)
    return f"""
        SELECT prefix_index, hop % 256 AS ttl, round, far_round, addr, next_addr,
            greatest(sent, next_sent) AS end, least(sent, next_sent) AS start{more}
        FROM (
            SELECT prefix_index, hop, round, addr, is_new, sent,
                leadInFrame(hop) OVER w AS next_hop,
                leadInFrame(sent) OVER w AS next_sent,
                leadInFrame(round) OVER w AS far_round,
                leadInFrame(addr) OVER w AS next_addr,
                leadInFrame(is_new) OVER w AS next_is_new{both}
            FROM (
                SELECT prefix_index, flow::UInt64 * 256 + ttl AS hop, round, addr,
                    is_new, sent{kept}
                FROM ({rows})
            )
            WINDOW w AS (
                PARTITION BY prefix_index ORDER BY hop
                ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING
            )
        )
        WHERE next_hop = hop + 1 AND next_addr != addr AND (is_new OR next_is_new)
    """


def judge_links(links: str, prefixes: str) -> str:
    """Return the query for links, with ``is_suspect``, without amplified prefixes."""
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    believed = f"SELECT * FROM {links} WHERE prefix_index NOT IN ({amplified})"
    return f"({mark_suspects(believed, prefixes, 'prefix_index')})"


def mark_suspects(links: str, prefixes: str, prefix: str) -> str:
    """Return the query for the links of all steps so far, with ``is_suspect``.

    ``prefix`` are the columns that identify a prefix of a run.

    A step may not show where a loop begins, and so take the way back for the way there.
    All steps together show it: if flows of a prefix loop, and cross a link in both
    directions, the direction with the higher TTL is the way back. If a route change
    moves the loop by a hop, both directions may begin at one TTL: the one seen later is
    the way back. Links that straddle a change are no evidence of a direction: flows may
    meet interfaces again because of it.
    """
    looping = f"SELECT DISTINCT {prefix} FROM {prefixes} WHERE repeats >= {REPEATS}"
    links_of_loops, prefixes_of_loops = (
        f"SELECT * FROM ({rows}) AS rows INNER JOIN ({looping}) AS looping "
        f"USING ({prefix})"
        for rows in (links, f"SELECT * FROM {prefixes}")
    )
    of_loops = _mark_straddling(links_of_loops, f"({prefixes_of_loops})", prefix)
    crossings = (
        f"SELECT {prefix}, {_CROSSINGS} AS crossings FROM ({of_loops}) "
        f"WHERE NOT is_straddling GROUP BY {prefix}"
    )
    inner = "first_end, last_start, is_unlikely, is_straddling, crossings"
    return (
        f"SELECT * EXCEPT ({inner}), "
        f"is_unlikely OR is_straddling OR {_IS_WAY_BACK} AS is_suspect "
        f"FROM ({_mark_straddling(links, prefixes, prefix)}) AS marked "
        f"LEFT JOIN ({crossings}) AS looped USING ({prefix})"
    )


def _mark_straddling(links: str, prefixes: str, prefix: str) -> str:
    """Return the query for links, with ``is_straddling``: across a route change."""
    changes = (
        f"SELECT {prefix}, {_CHANGES} AS changes "
        f"FROM {prefixes} WHERE changed_before > 0 GROUP BY {prefix}"
    )
    return (
        f"SELECT * EXCEPT changes, {_IS_STRADDLING} AS is_straddling "
        f"FROM ({links}) AS crossed LEFT JOIN ({changes}) AS changed USING ({prefix})"
    )


def find_continuing(replies: str, least_ttl: int) -> str:
    """Return the query for prefixes with replies from a TTL on: prefix_index."""
    return f"SELECT DISTINCT prefix_index FROM ({replies}) WHERE ttl >= {least_ttl}"


def count_links(
    links: str, prefixes: str, asked: str, piece: Piece, round_: int
) -> str:
    """Return the query for the number of links of each prefix and near TTL.

    It counts the links known now, and those known when this round was planned. Links
    whose ends were seen in different rounds do not count: the path may have changed in
    between.
    """
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    return f"""
        SELECT prefix_index, ttl, flow_count, links, earlier_links
        FROM (
            SELECT prefix_index, near_ttl AS ttl,
                uniqExact(cityHash64(near_addr, far_addr)) AS links,
                uniqExactIf(cityHash64(near_addr, far_addr), near_round < {round_})
                    AS earlier_links
            FROM {links}
            WHERE near_round = far_round AND {piece.condition}
                AND prefix_index NOT IN ({amplified})
            GROUP BY prefix_index, near_ttl
        ) AS known
        INNER JOIN ({asked}) AS asked USING (prefix_index)
        ORDER BY prefix_index, ttl
    """


def count_interfaces(replies: str, prefixes: str, scope: Scope) -> str:
    """Return the query for the interfaces that flows met; see ``crossings``."""
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    return f"""
        SELECT prefix_index, toUInt8(ttl) AS ttl,
            {_hash(scope, "toFixedString(addr, 16)")} AS near,
            toUInt32(count()) AS heard, toUInt32(countIf(flow >= {LATE})) AS late
        FROM ({replies})
        WHERE prefix_index NOT IN ({amplified})
        GROUP BY ALL
        ORDER BY prefix_index, ttl, near
    """


def count_crossings(links: str, piece: Piece, scope: Scope) -> str:
    """Return the query for the links that flows crossed; see ``crossings``."""
    return f"""
        SELECT prefix_index, near_ttl AS ttl, {_hash(scope, "near_addr")} AS near,
            {_hash(scope, "far_addr")} AS far,
            {_hash(scope, "near_addr, far_addr")} AS link,
            toUInt32(sum(flows)) AS flows
        FROM {links}
        WHERE {piece.condition}
        GROUP BY ALL
        ORDER BY prefix_index, ttl, near, far
    """


def _hash(scope: Scope, ends: str) -> str:
    apart = "prefix_index, " if scope is Scope.PREFIX else ""
    return f"cityHash64({apart}{ends})"


def find_sent(plans: str, block: int, piece: Piece) -> str:
    """Return the query for the flows that plans sent to each prefix at each TTL."""
    return f"""
        SELECT prefix_index, ttl, toUInt32(max(first_flow + flow_count)) AS flows
        FROM {plans} ARRAY JOIN range(min_ttl, max_ttl + 1) AS ttl
        WHERE block = {block} AND {piece.condition}
        GROUP BY prefix_index, ttl
    """


def read_prefixes(targets: str, block: int, piece: Piece = WHOLE) -> str:
    """Return the query for the TTLs and flows that the targets of a block ask for."""
    return (
        "SELECT prefix_index, min_ttl, max_ttl, flow_count FROM "
        f"{targets} WHERE block = {block} AND {piece.condition} ORDER BY prefix_index"
    )
