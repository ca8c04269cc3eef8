"""Finds the diamonds among the links of one agent, and stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from anabranch_engine import find_diamonds

from anabranch.warehouse.pieces import PIECE_ROWS, cut
from anabranch.warehouse.routers import name_routers

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.store import Store
    from anabranch.warehouse.agentresults import AgentResults

_BETWEEN_ROUTERS = {
    "prefix_index": "prefix_index",
    "near_ttl": "near_ttl",
    "near_router": "near_addr",
    "far_router": "far_addr",
}
"""The columns of links between routers, and their names as those of links."""


def put_diamonds(agent: AgentResults, scratch: Path, routers: str | None) -> None:
    """Find the diamonds of each block of an agent, in pieces, and store them.

    ``routers`` is the SQL for the survey's routers, if aliases were looked for.
    Then there are diamonds between routers, too.
    """
    root, store = agent.keys.root, agent.diamond_store
    blocks = {
        key.rpartition("/")[2][:5]
        for step in agent.store.folders(root)
        for key in agent.store.list(f"{root}/{step}/links")
    }
    for block in sorted(blocks):
        for piece in cut(agent.engine, agent.judge(f"{block}-*"), PIECE_ROWS):
            # Suspect links would give diamonds that do not exist.
            query = (
                "SELECT prefix_index, near_ttl, near_addr, far_addr "
                f"FROM {agent.judge(f'{block}-*', piece.condition)} "
                "WHERE NOT is_suspect"
            )
            if routers:
                query = name_routers(f"({query})", routers)
            links = agent.engine.read(f"{query} ORDER BY prefix_index, near_ttl")
            place = (int(block), piece.number)
            _put_found(store, links, agent.kept.diamonds(*place), scratch)
            if routers:
                between = links.select(list(_BETWEEN_ROUTERS))
                between = between.rename_columns(list(_BETWEEN_ROUTERS.values()))
                key = agent.kept.router_diamonds(*place)
                _put_found(store, between, key, scratch)


def _put_found(store: Store, links: pa.Table, key: str, scratch: Path) -> None:
    """Find the diamonds among links, and store them."""
    draft = scratch / "diamonds.parquet"
    pq.write_table(pa.table(find_diamonds(links)), draft)
    store.put_file(key, draft)
    draft.unlink()
