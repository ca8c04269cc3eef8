"""The paths that agents measured, as what a simulated Internet is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.warehouse.pieces import cut
from anabranch.warehouse.queries import IS_TIME_EXCEEDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.queries import Piece

_PIECE_ROWS = 1 << 22
"""The most replies that are looked at together: fewer than elsewhere, since the
simulated Internet takes memory at the same time."""


def read_measured(
    agents: list[AgentResults],
) -> Iterator[tuple[int, pa.Table, pa.Table]]:
    """Yield the targets of each agent, and the links on the way to them, in pieces.

    Agents are numbered from 0. The tables are as ``Simulation`` of the engine takes
    them. Suspect links are left out.

    Raises:
        LookupError: If an agent found no links.
    """
    for number, agent in enumerate(agents):
        links = 0
        has_links = "links" in agent.kinds
        rows = agent.answered
        for piece in cut(agent.engine, rows, _PIECE_ROWS) if has_links else []:
            found = agent.engine.read(_select_links(agent, piece))
            links += len(found)
            # Arrow tells no columns if there are no rows.
            if targets := agent.engine.read(_select_targets(agent, piece)):
                yield number, targets, found
        if not links:
            raise LookupError(
                f"agent {agent.keys.agent} found no links, so there are no paths; "
                "choose another agent or run"
            )


def _select_links(agent: AgentResults, piece: Piece) -> str:
    """Return the SELECT of the links of a piece's targets, each link once for a TTL."""
    return (
        "SELECT prefix_index, near_ttl, near_addr, far_addr, sum(flows) AS flows "
        f"FROM {agent.judge(condition=piece.condition)} WHERE NOT is_suspect "
        "GROUP BY ALL ORDER BY prefix_index, near_ttl, near_addr, far_addr"
    )


def _select_targets(agent: AgentResults, piece: Piece) -> str:
    """Return the SELECT of a piece's targets, with their hosts.

    ``host_ttl`` is the lowest TTL at which a host was heard, and ``hosts`` the share of
    addresses that were heard; both are 0 if there is none. Only in the first round are
    addresses probed at all TTLs, so the share is of that round.
    """
    is_host = f"destination_prefix_reply = 1 AND NOT {IS_TIME_EXCEEDED}"
    hosts = "uniqExactIf(probe_dst_addr, {})"
    heard = (
        f"SELECT prefix_index, ifNull(minIf(probe_ttl, {is_host}), 0) AS host_ttl, "
        f"{hosts.format(f'round = 1 AND {is_host}')} / "
        f"greatest({hosts.format('round = 1')}, 1) AS hosts "
        f"FROM {agent.answered} WHERE {piece.condition} GROUP BY prefix_index"
    )
    targets = agent.store.read_sql(agent.keys.targets)
    return (
        "SELECT prefix_index, prefix, prefix_len, protocol, "
        "toUInt8(host_ttl) AS host_ttl, hosts "
        f"FROM (SELECT * FROM {targets} WHERE {piece.condition}) AS targets "
        f"LEFT JOIN ({heard}) AS heard USING (prefix_index) ORDER BY prefix_index"
    )
