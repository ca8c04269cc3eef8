"""The queries of a round job; each gives the text of a SELECT.

Sources are what ClickHouse reads rows from: reply parts, or what these queries gave
before. A *flow* is told by prefix_index and flow, of which the first stands for prefix
and protocol. Addresses are 16 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""IPv4 ranges that diamond-miner takes for private, in hexadecimal."""


@dataclass(frozen=True)
class Piece:
    """A share of a block's prefixes, so small that its replies fit into memory."""

    number: int
    of: int

    @property
    def condition(self) -> str:
        """What its rows meet."""
        if self.of == 1:
            return "1"
        return f"prefix_index % {self.of} = {self.number}"


WHOLE = Piece(0, 1)
BITS_AT_ONCE, BITS = (20, 8), 24
"""How improbable it must be that two addresses exclude each other by chance."""
CHANGES = "groupArray((changed_after, changed_before))"
"""The times between which routes to a prefix changed."""
SUSPECT = (
    "is_unlikely OR arrayExists(change -> first_end >= change.1 "
    "AND last_start <= change.2, changes)"
)
"""Whether all flows that crossed a link may have had their replies on two sides of a
route change, or loop."""
REPEATS = 3
"""Replies from interfaces that a flow has met before, from which on it loops."""
MOST_ADDRESSES = 8
"""Of a hop of a prefix at which changes are looked for."""


@dataclass(frozen=True)
class Replies:
    """Which replies count, as diamond-miner has it by default.

    Only time exceeded, not from the prefix that is probed, and with ``drop_private``
    not from private addresses, which are others' in other places.

    Nor what quotes TTL 0: the router at that hop forwarded the probe instead of
    replying, and the next one replies in its place (Augustin et al., "Avoiding
    traceroute anomalies with Paris traceroute", IMC 2006).
    """

    drop_private: bool

    @property
    def condition(self) -> str:
        """What replies that count meet."""
        conditions = [
            "(reply_protocol = 1 AND reply_icmp_type = 11 "
            "OR reply_protocol = 58 AND reply_icmp_type = 3)",
            "destination_prefix_reply = 0",
            "quoted_ttl > 0",
        ]
        if self.drop_private:
            conditions += (
                f"NOT reply_src_addr BETWEEN {_mapped(first)} AND {_mapped(last)}"
                for first, last in PRIVATE
            )
            unique_local = [f"unhex('fd{end * 15}')" for end in ("00", "ff")]
            conditions.append(
                f"NOT reply_src_addr BETWEEN {' AND '.join(unique_local)}"
            )
        return " AND ".join(conditions)

    def choose(self, source: str, piece: Piece = WHOLE) -> str:
        """The rows of a source that count.

        Columns: prefix_index, flow, ttl, round, addr, and sent, when the probe was, in
        microseconds since 1970.
        """
        return (
            "SELECT prefix_index, flow, probe_ttl AS ttl, round, "
            f"reply_src_addr AS addr, capture_time_us - rtt_us AS sent FROM {source} "
            f"WHERE {piece.condition} AND {self.condition}"
        )


def _mapped(address: str) -> str:
    return f"unhex('{'0' * 20}ffff{address}')"


def find_prefixes(replies: str, changes: str) -> str:
    """What is to be known of the prefixes that replied.

    A prefix has *amplification* when a probe had two replies, and *loops* when a flow
    met an interface twice. ``changes`` is what ``find_changes`` gives: if the route
    changed, then between ``changed_after`` and ``changed_before``; else both are 0.
    """
    return f"""
        SELECT prefix_index, sum(heard) AS replies,
            max(heard > ttls) AS has_amplification, max(addrs < heard) AS has_loops,
            any(changes.changed_after) AS changed_after,
            any(changes.changed_before) AS changed_before
        FROM (
            SELECT prefix_index, count() AS heard, arrayUniq(groupArray(ttl)) AS ttls,
                arrayUniq(groupArray(cityHash64(addr))) AS addrs
            FROM ({replies})
            GROUP BY prefix_index, flow
        ) AS known
        LEFT JOIN ({changes}) AS changes USING (prefix_index)
        GROUP BY prefix_index
        ORDER BY prefix_index
    """


def find_changes(replies: str, earlier: str | None) -> str:
    """The prefixes to which routes changed, and between which times.

    ``earlier`` are replies of steps that may have probed the same hops.

    Probes are sent in a random order. So of two addresses that share a hop, the replies
    of one are all before those of the other with a probability of 1 in C(m + n, n), for
    m and n replies. Two addresses *exclude each other* if that is so for each prefix
    that has both at this hop, always in the same order, and it is too improbable to be
    chance: then the route changed from one to the other. If it is so of all of these
    prefixes together, it changed at one time, for all prefixes that have either. Hops
    with many addresses are left out: others of the path tell.
    """
    if earlier:
        prefixes = f"SELECT prefix_index FROM ({replies})"
        before = f"SELECT * FROM ({earlier}) WHERE prefix_index IN ({prefixes})"
        replies = f"{replies} UNION ALL {before}"
    seen = (
        "SELECT prefix_index, ttl, addr, toInt64(min(sent)) AS first, "
        "toInt64(max(sent)) AS last, count() AS heard "
        f"FROM ({replies}) GROUP BY prefix_index, ttl, addr"
    )
    pairs = f"""
        SELECT prefix_index, ttl, pair.1 AS one, pair.2 AS other,
            multiIf(one.3 < other.2, 1, other.3 < one.2, -1, 0) AS verdict,
            least(one.3, other.3) AS after, greatest(one.2, other.2) AS before,
            one.4 AS of_one, other.4 AS of_other
        FROM (
            SELECT prefix_index, ttl,
                arraySort(groupArray((addr, first, last, heard))) AS found
            FROM seen
            GROUP BY prefix_index, ttl
            HAVING length(found) BETWEEN 2 AND {MOST_ADDRESSES}
        )
        ARRAY JOIN arrayFlatten(arrayMap(
            i -> arrayMap(j -> (found[i], found[j]), range(i + 1, length(found) + 1)),
            range(1, length(found))
        )) AS pair
    """
    excluding = f"""
        SELECT ttl, one.1 AS one_addr, other.1 AS other_addr,
            max(after) AS last_after, min(before) AS first_before,
            last_after < first_before AS is_at_once,
            {_surprise("sum(of_one)", "sum(of_other)")} AS at_once,
            sum({_surprise("of_one", "of_other")}) AS each
        FROM pairs
        GROUP BY ttl, one_addr, other_addr
        HAVING abs(sum(verdict)) = count() AND (each > {BITS} OR is_at_once
            AND at_once > {BITS_AT_ONCE[0]} AND each > {BITS_AT_ONCE[1]})
    """
    return f"""
        WITH seen AS ({seen}), pairs AS ({pairs}), excluding AS ({excluding})
        SELECT prefix_index,
            toUInt64(if(max(after) < min(before), max(after), min(after)))
                AS changed_after,
            toUInt64(if(max(after) < min(before), min(before), max(before)))
                AS changed_before
        FROM (
            SELECT prefix_index, last_after AS after, first_before AS before
            FROM seen INNER JOIN (
                SELECT ttl, arrayJoin([one_addr, other_addr]) AS addr,
                    last_after, first_before
                FROM excluding WHERE is_at_once
            ) AS at_once USING (ttl, addr)
            UNION ALL
            SELECT prefix_index, after, before
            FROM pairs INNER JOIN (
                SELECT * FROM excluding WHERE NOT is_at_once
            ) AS by_and_by
            ON pairs.ttl = by_and_by.ttl AND pairs.one.1 = by_and_by.one_addr
                AND pairs.other.1 = by_and_by.other_addr
        )
        GROUP BY prefix_index
    """


def _surprise(one: str, other: str) -> str:
    """Bits of chance that it takes for all of one to be before all of the other."""
    both = f"lgamma({one} + {other} + 1)"
    return f"({both} - lgamma({one} + 1) - lgamma({other} + 1)) / ln(2)"


def find_links(replies: str, earlier: str | None, prefixes: str) -> str:
    """The links of a step's flows: both ends' rounds, and how many flows crossed them.

    A link lies between replies to the same flow at neighbouring TTLs, of which at least
    one is this step's, from two addresses. Prefixes with amplification have none: which
    reply is to be believed? Of the probes that a link rests on, ``first_end`` is when
    the first flow had sent both, and ``last_start`` when the last one sent its first.
    ``is_unlikely`` says that each flow that crossed it had met the far end before, or
    one of the ends at another TTL too: it loops, or its route changed meanwhile. Where
    flows loop, a link to an end that is nearer is unlikely too.
    """
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    rows = f"SELECT *, 1 AS is_new FROM ({replies})"
    if earlier:
        flows = f"SELECT prefix_index, flow FROM ({replies})"
        rows += (
            f" UNION ALL SELECT *, 0 AS is_new FROM ({earlier}) "
            f"WHERE (prefix_index, flow) IN ({flows})"
        )
    flows_meet = (
        f"SELECT prefix_index FROM ({rows}) "
        "GROUP BY prefix_index, flow HAVING count() > uniqExact(addr)"
    )
    met = f"""
        SELECT prefix_index, flow, addr, min(ttl) AS first_ttl, max(ttl) AS last_ttl,
            min(first_ttl) OVER (PARTITION BY prefix_index, addr) AS distance,
            prefix_index IN ({flows_meet} + {REPEATS - 1}) AS is_looping
        FROM ({rows})
        WHERE prefix_index IN ({flows_meet})
        GROUP BY prefix_index, flow, addr
    """
    return f"""
        SELECT hops.prefix_index AS prefix_index, toUInt8(hop % 256) AS near_ttl,
            round AS near_round, far_round, toFixedString(hops.addr, 16) AS near_addr,
            toFixedString(next_addr, 16) AS far_addr, toUInt32(count()) AS flows,
            toUInt64(min(greatest(sent, next_sent))) AS first_end,
            toUInt64(max(least(sent, next_sent))) AS last_start,
            min(far.first_ttl > 0 AND (far.first_ttl <= hop % 256
                OR far.is_looping AND far.distance < near.distance
                OR NOT far.is_looping AND (near.first_ttl != near.last_ttl
                    OR far.first_ttl != far.last_ttl))) AS is_unlikely
        FROM (
            SELECT prefix_index, hop, intDiv(hop, 256) AS flow, round, addr, is_new,
                sent, leadInFrame(hop) OVER w AS next_hop,
                leadInFrame(sent) OVER w AS next_sent,
                leadInFrame(round) OVER w AS far_round,
                leadInFrame(addr) OVER w AS next_addr,
                leadInFrame(is_new) OVER w AS next_is_new
            FROM (
                SELECT prefix_index, flow::UInt64 * 256 + ttl AS hop, round, addr,
                    is_new, sent
                FROM ({rows})
                WHERE prefix_index NOT IN ({amplified})
            )
            WINDOW w AS (
                PARTITION BY prefix_index ORDER BY hop
                ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING
            )
        ) AS hops
        LEFT JOIN ({met}) AS near ON hops.prefix_index = near.prefix_index
            AND hops.flow = near.flow AND hops.addr = near.addr
        LEFT JOIN ({met}) AS far ON hops.prefix_index = far.prefix_index
            AND hops.flow = far.flow AND hops.next_addr = far.addr
        WHERE next_hop = hop + 1 AND next_addr != hops.addr AND (is_new OR next_is_new)
        GROUP BY ALL
        ORDER BY prefix_index, near_ttl
    """


def judge_links(links: str, prefixes: str) -> str:
    """Links of prefixes without amplification, with ``is_suspect``."""
    changes = (
        f"SELECT prefix_index, {CHANGES} AS changes "
        f"FROM {prefixes} WHERE changed_before > 0 GROUP BY prefix_index"
    )
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    believed = f"SELECT * FROM {links} WHERE prefix_index NOT IN ({amplified})"
    return (
        "(SELECT * EXCEPT (first_end, last_start, is_unlikely, changes), "
        f"{SUSPECT} AS is_suspect FROM ({believed}) AS crossed "
        f"LEFT JOIN ({changes}) AS changed USING (prefix_index))"
    )


def find_continuing(replies: str, least_ttl: int) -> str:
    """The prefixes whose paths go on behind a window: prefix_index."""
    return f"SELECT DISTINCT prefix_index FROM ({replies}) WHERE ttl >= {least_ttl}"


def count_links(
    links: str, prefixes: str, asked: str, piece: Piece, round_: int
) -> str:
    """The links of each prefix and near TTL, now and when this round was planned.

    Links whose ends were seen in different rounds do not count: the path may have
    changed in between.
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


def read_prefixes(targets: str, block: int) -> str:
    """What the targets of a block ask for."""
    return (
        "SELECT prefix_index, min_ttl, max_ttl, flow_count "
        f"FROM {targets} WHERE block = {block} ORDER BY prefix_index"
    )
