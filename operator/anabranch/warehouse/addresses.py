"""Addresses in rows of packets, and how they become text."""

from __future__ import annotations

OF_PACKETS = ("probe_src_addr", "probe_dst_addr", "reply_src_addr")
"""The columns of a part's rows that hold the addresses of a probe and its reply."""


def as_text(column: str, *, plain: bool = True) -> str:
    """Return the SQL for an address as text; IPv4 is plain, or as IPv4-mapped."""
    text = f"IPv6NumToString(toFixedString({column}, 16))"
    return f"replaceRegexpOne({text}, '^::ffff:', '')" if plain else text
