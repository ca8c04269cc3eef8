"""Find route changes during a run, by the times of probes with replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BITS_AT_ONCE, BITS = (20, 8), 24
"""The bits of surprise that rule out chance as the reason for an exclusion.

Either the surprises of all prefixes add up to more than `BITS`. Or the route changed at
one time, the surprise of all prefixes together exceeds the first of `BITS_AT_ONCE`, and
the sum exceeds the second.
"""
PREFIXES_LOOKED_AT = 20_000
"""The number of prefixes of a piece in which route changes are looked for. More would
cost time and give the same result."""
MOST_ADDRESSES = 8
"""The most addresses of a prefix's hop at which changes are looked for."""


def join_hops(replies: str, earlier: str) -> str:
    """Return the query for a step's replies and earlier ones from the same prefixes."""
    prefixes = f"SELECT prefix_index FROM ({replies})"
    before = f"SELECT * FROM ({earlier}) WHERE prefix_index IN ({prefixes})"
    return f"{replies} UNION ALL {before}"


def find_exclusions(replies: str, one_in: int) -> str:
    """Return the query for pairs of addresses at a hop that exclude each other in time.

    Such a pair shows a route change. Probes are sent in random order. If two addresses
    share a hop and have m and n replies, then all replies of one come before those of
    the other with a probability of 1 in C(m + n, n). Two addresses *exclude each other*
    if this is the case for each prefix that has both at this hop, always in the same
    order, and is too improbable to be chance. If it also holds for all these prefixes
    together, the route changed for all of them at one time.

    The query samples one prefix in ``one_in``. It leaves out hops with many addresses,
    since other hops of the path show the change.
    """
    seen = (
        "SELECT prefix_index, ttl, addr, toInt64(min(sent)) AS first, "
        "toInt64(max(sent)) AS last, count() AS heard "
        f"FROM ({replies}) WHERE prefix_index % {one_in} = 0 "
        "GROUP BY prefix_index, ttl, addr"
    )
    pairs = f"""
        SELECT ttl, pair.1 AS one, pair.2 AS other,
            multiIf(one.3 < other.2, 1, other.3 < one.2, -1, 0) AS verdict,
            least(one.3, other.3) AS after, greatest(one.2, other.2) AS before,
            one.4 AS of_one, other.4 AS of_other
        FROM (
            SELECT prefix_index, ttl,
                arraySort(groupArray((addr, first, last, heard))) AS found
            FROM ({seen})
            GROUP BY prefix_index, ttl
            HAVING length(found) BETWEEN 2 AND {MOST_ADDRESSES}
        )
        ARRAY JOIN arrayFlatten(arrayMap(
            i -> arrayMap(j -> (found[i], found[j]), range(i + 1, length(found) + 1)),
            range(1, length(found))
        )) AS pair
    """
    return f"""
        SELECT ttl, hex(one.1) AS one_addr, hex(other.1) AS other_addr,
            max(after) AS last_after, min(before) AS first_before,
            last_after < first_before AS is_at_once,
            {_surprise("sum(of_one)", "sum(of_other)")} AS at_once,
            sum({_surprise("of_one", "of_other")}) AS each
        FROM ({pairs})
        GROUP BY ttl, one.1, other.1
        HAVING abs(sum(verdict)) = count() AND (each > {BITS} OR is_at_once
            AND at_once > {BITS_AT_ONCE[0]} AND each > {BITS_AT_ONCE[1]})
    """


def find_changes(replies: str, exclusions: Sequence[Mapping[str, Any]]) -> str:
    """Return the query for the prefixes whose routes changed, and between which times.

    ``exclusions`` are the rows of ``find_exclusions``. A change at one time applies to
    all prefixes that have either address. Otherwise each prefix has its own times.
    """
    if not exclusions:
        columns = "toUInt32(0) AS prefix_index, toUInt64(0) AS changed_after"
        return f"SELECT {columns}, toUInt64(0) AS changed_before WHERE 0"
    ends = [
        (row["ttl"], row[end])
        for row in exclusions
        for end in ("one_addr", "other_addr")
    ]
    hops = ", ".join(f"({ttl}, unhex('{addr}'))" for ttl, addr in dict.fromkeys(ends))
    rows = ", ".join(
        f"({row['ttl']}, unhex('{row['one_addr']}'), unhex('{row['other_addr']}'), "
        f"{row['last_after']}, {row['first_before']}, {int(row['is_at_once'])})"
        for row in exclusions
    )
    excluding = (
        "VALUES('ttl UInt8, one String, other String, after Int64, before Int64, "
        f"is_at_once UInt8', {rows})"
    )
    seen = (
        "SELECT prefix_index, ttl, addr::String AS addr, toInt64(min(sent)) AS first, "
        f"toInt64(max(sent)) AS last FROM ({replies}) WHERE (ttl, addr) IN ({hops}) "
        "GROUP BY prefix_index, ttl, addr"
    )
    return f"""
        SELECT prefix_index,
            toUInt64(if(max(after) < min(before), max(after), min(after)))
                AS changed_after,
            toUInt64(if(max(after) < min(before), min(before), max(before)))
                AS changed_before
        FROM (
            SELECT prefix_index, after, before FROM ({seen}) AS seen INNER JOIN (
                SELECT ttl, arrayJoin([one, other]) AS addr, after, before
                FROM {excluding} WHERE is_at_once
            ) AS at_once USING (ttl, addr)
            UNION ALL
            SELECT before.prefix_index, least(before.last, behind.last),
                greatest(before.first, behind.first)
            FROM ({seen}) AS before
            INNER JOIN (SELECT * FROM {excluding} WHERE NOT is_at_once) AS by_and_by
            ON before.ttl = by_and_by.ttl AND before.addr = by_and_by.one
            INNER JOIN ({seen}) AS behind
            ON behind.prefix_index = before.prefix_index
                AND behind.ttl = by_and_by.ttl AND behind.addr = by_and_by.other
        )
        GROUP BY prefix_index
    """


def _surprise(one: str, other: str) -> str:
    """Return the SQL for log2 C(m + n, n): the surprise at their order, in bits."""
    both = f"lgamma({one} + {other} + 1)"
    return f"({both} - lgamma({one} + 1) - lgamma({other} + 1)) / ln(2)"
