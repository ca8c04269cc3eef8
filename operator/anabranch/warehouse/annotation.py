"""Annotate the addresses of a table: AS, its name, country and exchange point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.store.directory import DirectoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Annotations

    from anabranch.warehouse.engine import Engine

ADDRESSES = {
    "interfaces": {"addr": ""},
    "links": {"near_addr": "near_", "far_addr": "far_"},
    "diamonds": {
        "divergence_addr": "divergence_",
        "convergence_addr": "convergence_",
    },
    "pings": {"addr": ""},
    "traces": {"destination": ""},
    "replies": {"reply_src_addr": "reply_"},
    "probes": {"reply_src_addr": "reply_"},
    "aliases": {"first_addr": "first_", "second_addr": "second_"},
    "routers": {"addr": ""},
    "router_links": {"near_router": "near_", "far_router": "far_"},
    "router_diamonds": {
        "divergence_router": "divergence_",
        "convergence_router": "convergence_",
    },
}
"""The columns with addresses to annotate, by table, and what the names of the columns
begin with that say what is known of them."""
AS_LINKS = "as_links"
"""The table of links between ASes."""
_BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class Annotator:
    """Annotates tables of results."""

    known: Annotations
    """What is known about addresses."""
    engine: Engine
    """An engine that reads files of this machine."""
    scratch: Path
    """A folder for tables on their way."""

    def annotate(self, table: str, query: str, source: Engine) -> str:
        """Return the SELECT of a table with what is known about its addresses.

        ``query`` is its SELECT without, and ``source`` runs it. The rows pass through
        files, a batch at a time: memory does not depend on their number.

        Raises:
            LookupError: If the table has no addresses to annotate.
        """
        rows = "links" if table == AS_LINKS else table
        ends = ADDRESSES.get(rows)
        if ends is None:
            there = ", ".join((*ADDRESSES, AS_LINKS))
            raise LookupError(f"{table} can't be annotated, only {there}")
        plain, annotated = (
            self.scratch / f"{table}.{step}.parquet" for step in ("plain", "annotated")
        )
        keys = ", ".join(
            f"toFixedString(IPv6StringToNum({column}), 16) AS {_key(column)}"
            for column in ends
        )
        source.write(f"SELECT *, {keys} FROM ({query})", plain)
        _add_columns(plain, annotated, ends, self.known)
        plain.unlink()
        found = DirectoryStore(self.scratch).read_sql(annotated.name)
        if table == AS_LINKS:
            return _count_as_links(found)
        return f"SELECT * FROM {found}"


def has_one_origin(start: str = "") -> str:
    """Return the SQL for whether the AS of an address is known, and is its only origin.

    The columns that say what is known begin with ``start``. The address of an exchange
    point's LAN is that of a member's router, whichever AS announces the LAN.
    """
    known = f"{start}asn IS NOT NULL AND {start}origins IS NULL"
    return f"{known} AND {start}ixp IS NULL"


def _key(column: str) -> str:
    return f"{column}_key"


def _add_columns(
    plain: Path, annotated: Path, ends: dict[str, str], known: Annotations
) -> None:
    """Write the rows of a file to another one, with what is known about addresses."""
    keys = [_key(column) for column in ends]
    with pq.ParquetFile(plain) as rows:
        left = pa.schema(field for field in rows.schema_arrow if field.name not in keys)
        schema = left
        for start in ends.values():
            for name, kind in _KNOWN.items():
                schema = schema.append(pa.field(f"{start}{name}", kind))
        with pq.ParquetWriter(annotated, schema, compression="zstd") as out:
            for batch in rows.iter_batches(_BATCH_ROWS):
                table = pa.Table.from_batches([batch])
                columns = [table.column(name) for name in left.names]
                for column in ends:
                    found = pa.table(known.annotate(table, _key(column)))
                    columns += found.cast(pa.schema(_KNOWN.items())).columns
                out.write_table(pa.Table.from_arrays(columns, schema=schema))


def _count_as_links(links: str) -> str:
    """Return the query for links between ASes, of annotated links.

    A link between interfaces counts if each of its ends has one known origin. Where a
    hop is unknown, nothing leads over it.
    """
    certain = " AND ".join(map(has_one_origin, ("near_", "far_")))
    return (
        "SELECT agent, near_asn, any(near_as_name) AS near_as_name, far_asn, "
        "any(far_as_name) AS far_as_name, count() AS links, "
        "uniqExact(near_addr) AS near_interfaces, "
        "uniqExact(far_addr) AS far_interfaces, min(first_round) AS first_round "
        f"FROM {links} WHERE NOT is_suspect AND {certain} AND near_asn != far_asn "
        "GROUP BY agent, near_asn, far_asn ORDER BY agent, near_asn, far_asn"
    )


_KNOWN: dict[str, pa.DataType] = {
    "asn": pa.uint32(),
    **dict.fromkeys(("origins", "as_name", "country", "ixp"), pa.string()),
}
"""The columns that say what is known about an address."""
