"""The paths that agents measured, as what a simulated Internet is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.warehouse.pieces import cut
from anabranch.warehouse.queries import IS_TIME_EXCEEDED, Replies

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.queries import Piece

_PIECE_ROWS = 1 << 21
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
        for piece in _cut(agent):
            found = agent.engine.read(_select_links(agent, piece))
            links += len(found) and len(found) - found["far_addr"].null_count
            # Arrow tells no columns if there are no rows.
            if targets := agent.engine.read(_select_targets(agent, piece)):
                yield number, targets, found
        if not links:
            raise LookupError(
                f"agent {agent.keys.agent} found no links, so there are no paths; "
                "choose another agent or run"
            )


def _cut(agent: AgentResults) -> list[Piece]:
    """Return the pieces of a run; an agent that failed before its start has none."""
    if "links" not in agent.kinds:
        return []
    return cut(agent.engine, agent.answered, _PIECE_ROWS)


def _select_links(agent: AgentResults, piece: Piece) -> str:
    """Return the SELECT of what is on the way to a piece's targets, by TTL.

    These are links, each once for a TTL, and with a null as far end the routers that a
    flow met between two silent ones: no link tells of them.
    """
    columns = "prefix_index, near_ttl, near_addr, far_addr"
    links = (
        "SELECT prefix_index, near_ttl, near_addr, toNullable(far_addr) AS far_addr, "
        f"flows FROM {agent.judge(condition=piece.condition)} WHERE NOT is_suspect"
    )
    counting = Replies(agent.record.drop_private)
    choose = counting.choose_first if agent.is_traced else counting.choose
    # No hop is 0, as the one before the first of all seems to be, and none is null.
    hop = "assumeNotNull((flow::UInt64 + 1) * 256 + ttl)"
    replies = (
        f"SELECT DISTINCT prefix_index, {hop} AS hop, addr "
        f"FROM ({choose(agent.answered, piece)})"
    )
    neighbours = (
        "SELECT *, lagInFrame(hop) OVER w AS before, leadInFrame(hop) OVER w AS behind "
        f"FROM ({replies}) WINDOW w AS (PARTITION BY prefix_index ORDER BY hop "
        "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)"
    )
    alone = (
        "SELECT prefix_index, toUInt8(hop % 256) AS near_ttl, "
        "toFixedString(addr, 16) AS near_addr, "
        "CAST(NULL AS Nullable(FixedString(16))) AS far_addr, toUInt32(1) AS flows "
        f"FROM ({neighbours}) WHERE before != hop - 1 AND behind != hop + 1"
    )
    return (
        f"SELECT {columns}, sum(flows) AS flows FROM ({links} UNION ALL {alone}) "
        f"GROUP BY {columns} ORDER BY {columns}"
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
