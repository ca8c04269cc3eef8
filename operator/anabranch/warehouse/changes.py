"""Find route changes during a run, by the times of probes with replies."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from anabranch.rounds.steps import WINDOW_TTLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Times = tuple[int, int]
    """Between which times a route changed, in microseconds since 1970."""

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
MOST_EXCLUSIONS = 1_000
"""The most exclusions of a piece that count. A query's text has room for no more, since
ClickHouse reads 256 KiB of it."""


def find_exclusions(replies: str, one_in: int) -> str:
    """Return the query for pairs of addresses at a hop that exclude each other in time.

    Such a pair shows a route change. Probes are sent in random order. If two addresses
    share a hop and have m and n replies, then all replies of one come before those of
    the other with a probability of 1 in C(m + n, n). Two addresses *exclude each other*
    if this is the case for each prefix that has both at this hop, always in the same
    order, and is too improbable to be chance. If it also holds for all these prefixes
    together, the route changed for all of them at one time.

    The query samples one prefix in ``one_in``. It leaves out hops with many addresses,
    since other hops of the path show the change. Of very many exclusions, it gives
    those that most prefixes show.
    """
    # Pieces are classes of prefix_index modulo their number: only a hash samples each.
    seen = (
        "SELECT prefix_index, ttl, addr, toInt64(min(sent)) AS first, "
        "toInt64(max(sent)) AS last, count() AS heard "
        f"FROM ({replies}) WHERE intHash32(prefix_index) % {one_in} = 0 "
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
        ORDER BY count() DESC, ttl, one.1, other.1
        LIMIT {MOST_EXCLUSIONS}
    """


def find_steps(replies: str) -> str:
    """Return the query for ``begin`` and ``end`` of the steps with these replies."""
    return (
        "SELECT toInt64(min(sent)) AS begin, toInt64(max(sent)) AS end "
        f"FROM ({replies}) "
        f"GROUP BY round, if(round = 1, intDiv(ttl - 1, {WINDOW_TTLS}), 0)"
    )


def find_changes(
    replies: str,
    exclusions: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> str:
    """Return the query for the prefixes whose routes changed, and between which times.

    ``exclusions`` are the rows of ``find_exclusions``, ``steps`` those of
    ``find_steps``. A change is ``between_steps`` unless one step has both times: then
    no step shows it. A change at one time applies to
    all prefixes with replies from either address, at whatever hop: if a path gets
    longer or shorter, the routers behind the change move. Otherwise each prefix has its
    own times.
    """
    found = []
    at_once = [row for row in exclusions if row["is_at_once"]]
    if at_once:
        rows = ", ".join(
            f"(unhex('{addr}'), {after}, {before})"
            for addr, (after, before) in date_addresses(at_once).items()
        )
        found.append(f"""
            SELECT prefix_index, after, before FROM ({replies}) AS heard
            INNER JOIN VALUES(
                'addr FixedString(16), after Int64, before Int64', {rows}
            ) AS changed USING (addr)
        """)
    by_and_by = [row for row in exclusions if not row["is_at_once"]]
    if by_and_by:
        rows = ", ".join(
            f"({row['ttl']}, unhex('{row['one_addr']}'), unhex('{row['other_addr']}'))"
            for row in by_and_by
        )
        hops = ", ".join(
            f"({row['ttl']}, unhex('{row[end]}'))"
            for row in by_and_by
            for end in ("one_addr", "other_addr")
        )
        seen = (
            "SELECT prefix_index, ttl, addr, toInt64(min(sent)) AS first, "
            f"toInt64(max(sent)) AS last FROM ({replies}) "
            f"WHERE (ttl, addr) IN ({hops}) GROUP BY prefix_index, ttl, addr"
        )
        found.append(f"""
            SELECT one.prefix_index, least(one.last, other.last) AS after,
                greatest(one.first, other.first) AS before
            FROM ({seen}) AS one INNER JOIN VALUES(
                'ttl UInt8, one FixedString(16), other FixedString(16)', {rows}
            ) AS pair ON one.ttl = pair.ttl AND one.addr = pair.one
            INNER JOIN ({seen}) AS other ON other.prefix_index = one.prefix_index
                AND other.ttl = pair.ttl AND other.addr = pair.other
        """)
    if not found:
        return (
            "SELECT toUInt32(0) AS prefix_index, toUInt64(0) AS changed_after, "
            "toUInt64(0) AS changed_before, toUInt8(0) AS between_steps WHERE 0"
        )
    spans = ", ".join(f"({step['begin']}, {step['end']})" for step in steps)
    # As `_join` does.
    return f"""
        SELECT prefix_index,
            toUInt64(if(max(after) < min(before), max(after), min(after)))
                AS changed_after,
            toUInt64(if(max(after) < min(before), min(before), max(before)))
                AS changed_before,
            NOT arrayExists(
                step -> step.1 <= changed_after AND changed_before <= step.2, [{spans}]
            ) AS between_steps
        FROM ({" UNION ALL ".join(found)})
        GROUP BY prefix_index
    """


def date_addresses(exclusions: Iterable[Mapping[str, Any]]) -> dict[str, Times]:
    """Return between which times routes changed at an address, for all of exclusions.

    One change of a route moves many addresses, and some exclude each other only between
    two steps that are far apart. So the addresses that exclude one another, directly or
    by others, are taken together: the fewest changes that account for all of their
    exclusions tell when each address came or went.
    """
    groups: dict[str, set[str]] = {}
    spans: defaultdict[str, set[Times]] = defaultdict(set)
    for row in exclusions:
        ends = (row["one_addr"], row["other_addr"])
        for end in ends:
            spans[end].add((row["last_after"], row["first_before"]))
        one, other = (groups.get(end, {end}) for end in ends)
        if one is not other:
            small, large = sorted((one, other), key=len)
            large |= small
            groups |= dict.fromkeys(small, large)
            groups |= dict.fromkeys(ends, large)
    dates = {}
    for group in {id(group): group for group in groups.values()}.values():
        changes = _find_fewest(set().union(*(spans[addr] for addr in group)))
        for addr in group:
            dates[addr] = _join(_narrow(span, changes) for span in spans[addr])
    return dates


def _find_fewest(spans: Iterable[Times]) -> list[Times]:
    """Return the fewest changes, so that there is one in each span; in order."""
    changes: list[Times] = []
    for after, before in sorted(spans, key=lambda span: span[1]):
        if changes and after < changes[-1][1]:
            changes[-1] = (max(after, changes[-1][0]), changes[-1][1])
        else:
            changes.append((after, before))
    return changes


def _narrow(span: Times, changes: Iterable[Times]) -> Times:
    """Return from the first to the last of the changes that are inside a span."""
    after, before = span
    inside = [each for each in changes if after <= each[0] and each[1] <= before]
    return inside[0][0], inside[-1][1]


def _join(spans: Iterable[Times]) -> Times:
    """Return what spans have in common, or all that they cover if that is nothing."""
    afters, befores = zip(*spans, strict=True)
    if max(afters) < min(befores):
        return max(afters), min(befores)
    return min(afters), max(befores)


def _surprise(one: str, other: str) -> str:
    """Return the SQL for log2 C(m + n, n): the surprise at their order, in bits."""
    both = f"lgamma({one} + {other} + 1)"
    return f"({both} - lgamma({one} + 1) - lgamma({other} + 1)) / ln(2)"
