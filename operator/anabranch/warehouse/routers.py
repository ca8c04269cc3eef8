"""The routers of a survey: sets of addresses that alias resolution finds to be of one.

The lowest address of a router stands for it. An address without aliases is a router of
its own. A set of which a test rejects a pair is in conflict: some of its aliases are
none, and nobody knows which, so that its addresses count as separate ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from anabranch_engine import find_routers

from anabranch.warehouse.traces import read_aliases

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine


def put_routers(
    store: Store, engine: Engine, parts: Iterable[str], key: str, scratch: Path
) -> None:
    """Find the routers among the pairs of addresses of some parts, and store them.

    The rows are those of ``find_routers``.
    """
    pairs = " UNION ALL ".join(read_aliases(each) for each in parts)
    verdicts = engine.read(
        f"SELECT DISTINCT first_addr, second_addr, verdict FROM ({pairs}) "
        "WHERE verdict != 'undetermined'"
    )
    draft = scratch / "routers.parquet"
    pq.write_table(pa.table(find_routers(verdicts)), draft)
    store.put_file(key, draft)
    draft.unlink()


def name_addresses(addresses: str, routers: str) -> str:
    """Return the query for addresses with their routers: addr and router."""
    known = f"(SELECT addr, router_addr FROM {routers} WHERE NOT is_in_conflict)"
    return (
        "SELECT there.addr AS addr, if(known.addr = there.addr, known.router_addr, "
        f"there.addr) AS router FROM {addresses} AS there "
        f"LEFT JOIN {known} AS known ON known.addr = there.addr"
    )


def name_routers(links: str, routers: str) -> str:
    """Return the query for links with the routers of their ends.

    ``links`` is the SQL for rows with near_addr and far_addr, ``routers`` that for the
    rows of ``find_routers``. The columns near_router and far_router are added.
    """
    known = f"(SELECT addr, router_addr FROM {routers} WHERE NOT is_in_conflict)"
    near, far = (
        f"if({end}.addr = crossed.{end}_addr, {end}.router_addr, crossed.{end}_addr) "
        f"AS {end}_router"
        for end in ("near", "far")
    )
    return (
        f"SELECT crossed.*, {near}, {far} FROM {links} AS crossed "
        f"LEFT JOIN {known} AS near ON near.addr = crossed.near_addr "
        f"LEFT JOIN {known} AS far ON far.addr = crossed.far_addr"
    )
