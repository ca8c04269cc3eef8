"""Replies as caracal names them, and what middleboxes did to their probes."""

from __future__ import annotations

from anabranch.warehouse.addresses import OF_PACKETS, as_text

_CARACAL = (
    *("capture_timestamp", "probe_protocol", "probe_src_addr", "probe_dst_addr"),
    *("probe_src_port", "probe_dst_port", "probe_ttl", "quoted_ttl", "reply_src_addr"),
    *("reply_protocol", "reply_icmp_type", "reply_icmp_code", "reply_ttl"),
    "reply_size",
    *("reply_mpls_labels", "rtt", "round"),
)
"""The columns of caracal's replies, in caracal's order."""
_REWRITTEN = {1: "source address", 2: "ports", 4: "checksum", 8: "identification"}
"""The field for each bit of a reply's ``rewritten``; ICMP's identifier is a port."""


def name_as_caracal(replies: str) -> str:
    """Return the SELECT of replies with caracal's columns, in their order."""
    # The first columns of a part are caracal's.
    text = {f"{as_text(name, plain=False)} AS {name}" for name in OF_PACKETS}
    labels = (
        "concat('[', arrayStringConcat(arrayMap(l -> concat('(', "
        "arrayStringConcat([toString(l.1), toString(l.2), toString(l.3), "
        "toString(l.4)], ','), ')'), reply_mpls_labels), ','), ']') "
        "AS reply_mpls_labels"
    )
    return (
        f"SELECT {', '.join(_CARACAL)} FROM (SELECT * EXCEPT "
        f"({', '.join(OF_PACKETS)}, reply_mpls_labels), {', '.join(sorted(text))}, "
        f"{labels} FROM {replies})"
    )


def count_rewrites(replies: str) -> str:
    """Return the SELECT of what was rewritten, and from which TTL on.

    Columns are ``fields``, ``first_ttl``, ``prefixes`` and ``replies``.
    """
    names = ", ".join(f"({bit}, '{name}')" for bit, name in _REWRITTEN.items())
    fields = (
        "arrayStringConcat(arrayMap(field -> field.2, arrayFilter(field -> "
        f"bitAnd(rewritten, field.1) != 0, [{names}])), ', ')"
    )
    return (
        f"SELECT {fields} AS fields, first_ttl, "
        "count() AS prefixes, sum(heard) AS replies FROM (SELECT rewritten, "
        f"prefix_index, min(probe_ttl) AS first_ttl, count() AS heard FROM {replies} "
        "WHERE rewritten != 0 GROUP BY rewritten, prefix_index) "
        "GROUP BY rewritten, first_ttl ORDER BY rewritten, first_ttl"
    )
