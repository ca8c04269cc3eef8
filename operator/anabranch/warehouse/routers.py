"""The routers of a survey: sets of addresses that alias resolution finds to be of one.

The lowest address of a router stands for it. An address without aliases is a router of
its own. A set of which a test rejects a pair is in conflict: some of its aliases are
none, and nobody knows which, so that its addresses count as separate ones.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from anabranch_engine import find_routers

from anabranch.warehouse.traces import read_aliases

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine

    Row = dict[str, Any]


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


def place_pairs(pairs: str, routers: str) -> str:
    """Return the query for pairs with the set of aliases that both addresses are of.

    ``pairs`` is the SQL for rows with first_addr and second_addr, ``routers`` that for
    the rows of ``find_routers``. Two columns are added: router_addr (16 bytes, zeros
    if the two are of no common set), and is_in_conflict, which says whether this set
    is. So the pairs of a set in conflict tell what accepts and what rejects it.
    """
    addresses = f"(SELECT addr, router_addr, is_in_conflict FROM {routers})"
    # What is not there is null, as some columns of a file are.
    is_one = (
        "ifNull(one.addr = compared.first_addr AND other.addr = compared.second_addr "
        "AND one.router_addr = other.router_addr, 0)"
    )
    return (
        f"SELECT compared.*, if({is_one}, assumeNotNull(one.router_addr), "
        "toFixedString('', 16)) AS router_addr, "
        f"toUInt8({is_one} AND ifNull(one.is_in_conflict, 0)) AS is_in_conflict "
        f"FROM {pairs} AS compared "
        f"LEFT JOIN {addresses} AS one ON one.addr = compared.first_addr "
        f"LEFT JOIN {addresses} AS other ON other.addr = compared.second_addr"
    )


def read_routers(
    engine: Engine, routers: str, addresses: Iterable[str]
) -> dict[str, str]:
    """Return the routers of those of some addresses that have one with several.

    ``routers`` is the query for the table of routers. Those in conflict are none.
    """
    table = engine.read(
        f"SELECT addr, router_addr FROM ({routers}) WHERE NOT is_in_conflict"
    )
    wanted = pa.array(sorted(set(addresses)), pa.string())
    found = table.filter(pc.is_in(table["addr"].cast(pa.string()), wanted))
    return {row["addr"]: row["router_addr"] for row in found.to_pylist()}


def group_addresses(router_of: dict[str, str]) -> list[list[str]]:
    """Return the addresses of each router that has several here, in order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for address in sorted(router_of, key=order_address):
        groups[router_of[address]].append(address)
    return [group for group in groups.values() if len(group) > 1]


def order_address(address: str) -> tuple[int, int]:
    """Return what addresses are sorted by: IPv4 first, then by number."""
    known = ip_address(address)
    return known.version, int(known)


@dataclass(frozen=True)
class RouterStatistics:
    """What alias resolution found, in numbers."""

    pairs: list[Row]
    """Distinct pairs of addresses of a hop, by verdict and test."""
    sizes: list[Row]
    """Routers by their number of addresses; those in conflict are left out."""
    conflicts: int
    """The sets of addresses in conflict."""
    torn: list[Row]
    """Pairs that are rejected though both addresses are of one set."""
    largest: list[Row]
    """The routers with the most addresses."""
    changes: dict[str, Row]
    """What diamonds become between routers: measured and distinct ones."""
    widths: list[Row]
    """How many measured diamonds that change have which max width, and which one
    between routers; a straight path has one of 1."""

    @property
    def count(self) -> int:
        """The number of routers with several addresses."""
        return sum(row["routers"] for row in self.sizes)


PAPER = "Vermeulen et al., IMC 2018"
PAPER_SHARES = {2: 0.68, 10: 0.97}
"""The share of routers with so many addresses at most in that survey, of those with
several."""


def count_sizes(engine: Engine, routers: str) -> list[Row]:
    """Count the routers of the query for their table by their number of addresses.

    Those in conflict are left out.
    """
    rows: list[Row] = engine.read(
        "SELECT addresses, uniqExact(router_addr) AS routers "
        f"FROM ({routers}) WHERE NOT is_in_conflict "
        "GROUP BY addresses ORDER BY addresses"
    ).to_pylist()
    return rows


def count_routers(
    engine: Engine, aliases: str, routers: str, diamonds: str | None, most: int
) -> RouterStatistics:
    """Count what the queries for three tables of results say.

    ``diamonds`` is None if there are no links yet. ``most`` is the most rows of the
    largest routers.
    """

    def read(query: str) -> list[Row]:
        found: list[Row] = engine.read(query).to_pylist()
        return found

    changes = diamonds and read(
        "SELECT becomes, count() AS measured, "
        "uniqExact(divergence_addr, convergence_addr) AS distinct "
        f"FROM ({diamonds}) WHERE becomes IS NOT NULL GROUP BY becomes"
    )
    widths = diamonds and read(
        "SELECT max_width, greatest(found.router_max_width, 1) AS router_max_width, "
        f"count() AS diamonds FROM ({diamonds}) AS found "
        "WHERE becomes IS NOT NULL AND becomes != 'no change' GROUP BY ALL ORDER BY ALL"
    )
    sound = f"({routers}) WHERE NOT is_in_conflict"
    torn = (
        f"SELECT uniqExact(router_addr) AS sets FROM ({routers}) WHERE is_in_conflict"
    )
    return RouterStatistics(
        pairs=read(
            "SELECT verdict, test, uniqExact(first_addr, second_addr) AS pairs "
            f"FROM ({aliases}) GROUP BY verdict, test ORDER BY verdict, pairs DESC"
        ),
        sizes=count_sizes(engine, routers),
        conflicts=read(torn)[0]["sets"],
        torn=read(
            "SELECT router_addr, first_addr, second_addr, test, min(torn.ttl) AS ttl, "
            "any(torn.prefix) AS prefix, sum(torn.traces) AS traces "
            f"FROM ({aliases}) AS torn WHERE is_in_conflict AND verdict = 'reject' "
            "GROUP BY router_addr, first_addr, second_addr, test "
            f"ORDER BY traces DESC, router_addr, first_addr LIMIT {most}"
        ),
        largest=read(
            f"SELECT router_addr, any(addresses) AS addresses FROM {sound} "
            f"GROUP BY router_addr ORDER BY addresses DESC, router_addr LIMIT {most}"
        ),
        changes={row.pop("becomes"): row for row in changes or []},
        widths=widths or [],
    )
