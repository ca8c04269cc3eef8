"""Counts of what a survey found, for figures and reports.

Each function raises ``NothingYetError`` if there are no links yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anabranch.warehouse.results import Results


def count_diamonds(results: Results) -> list[tuple[str, int, int, int]]:
    """Return rows of agent, max_width, max_length, and the number of such diamonds."""
    query = results.select("diamonds")
    rows = results.engine.read(
        "SELECT agent, max_width, max_length, count() AS diamonds "
        f"FROM ({query}) GROUP BY agent, max_width, max_length ORDER BY ALL"
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


def count_links(results: Results) -> list[tuple[str, int, int]]:
    """Return rows of agent, round, and the links that it first found in this round."""
    query = results.select("links")
    rows = results.engine.read(
        "SELECT agent, first_round, count() AS links "
        f"FROM ({query}) WHERE NOT is_suspect "
        "GROUP BY agent, first_round ORDER BY ALL"
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


def count_new_links(results: Results) -> list[tuple[int, int]]:
    """Return rows of round, and the links that no agent had found before."""
    query = results.select("links")
    rows = results.engine.read(
        "SELECT round, count() AS links FROM (SELECT min(first_round) AS round "
        f"FROM ({query}) WHERE NOT is_suspect GROUP BY near_addr, far_addr) "
        "GROUP BY round ORDER BY round"
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


def rank_interfaces(results: Results, count: int) -> list[dict[str, Any]]:
    """Return the interfaces with the most next hops.

    Their columns are addr, min_ttl, max_ttl, next_hops, agents and flows.
    """
    query = results.select("links")
    rows: list[dict[str, Any]] = results.engine.read(
        "SELECT near_addr AS addr, min(min_near_ttl) AS min_ttl, "
        "max(max_near_ttl) AS max_ttl, uniqExact(far_addr) AS next_hops, "
        "uniqExact(agent) AS agents, sum(links.flows) AS flows "
        f"FROM ({query}) AS links WHERE NOT is_suspect GROUP BY near_addr "
        f"ORDER BY next_hops DESC, flows DESC, addr LIMIT {count}"
    ).to_pylist()
    return rows
