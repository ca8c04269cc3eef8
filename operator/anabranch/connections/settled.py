"""What is settled: connections that have an outcome, and hops, until both are stored.

It is in the queue's file.
"""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.connections.queuefile import Transaction, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_OLDEST = """
SELECT min(at) FROM (
    SELECT settled AS at FROM connections WHERE outcome IS NOT NULL AND archive IS NULL
    UNION ALL SELECT until FROM missed WHERE archive IS NULL
    UNION ALL SELECT seen FROM hops WHERE told IS NOT NULL AND archive IS NULL
)
"""
_DAYS = """
SELECT DISTINCT day FROM (
    SELECT day FROM connections WHERE outcome IS NOT NULL AND archive IS NULL
    UNION ALL SELECT date(until, 'unixepoch') FROM missed WHERE archive IS NULL
    UNION ALL SELECT day FROM hops WHERE told IS NOT NULL AND archive IS NULL
)
"""
_TAKE = (
    """
    UPDATE connections SET archive = :number WHERE number IN (
        SELECT number FROM connections
        WHERE outcome IS NOT NULL AND archive IS NULL AND day = :day LIMIT :most
    )
    """,
    """
    UPDATE missed SET archive = :number WHERE rowid IN (
        SELECT rowid FROM missed
        WHERE archive IS NULL AND date(until, 'unixepoch') = :day LIMIT :most
    )
    """,
    """
    UPDATE hops SET archive = :number WHERE rowid IN (
        SELECT rowid FROM hops
        WHERE told IS NOT NULL AND archive IS NULL AND day = :day LIMIT :most
    )
    """,
)
"""Take what is settled on a day into an archive."""
_FORGET = (
    """
    UPDATE hops SET archive = 0
    WHERE rowid IN (SELECT rowid FROM hops WHERE archive = :number LIMIT :most)
    """,
    """
    DELETE FROM connections WHERE number IN (
        SELECT number FROM connections WHERE archive = :number LIMIT :most
    )
    """,
    """
    DELETE FROM missed
    WHERE rowid IN (SELECT rowid FROM missed WHERE archive = :number LIMIT :most)
    """,
    "DELETE FROM archives WHERE number = :number",
)
"""Forget what was stored in an archive, and the archive last."""
_EXPIRE = (
    """
    DELETE FROM hops WHERE rowid IN (
        SELECT rowid FROM hops WHERE archive = 0 AND seen <= :seen LIMIT :most
    )
    """,
    """
    DELETE FROM traces WHERE number IN (
        SELECT number FROM traces AS t
        WHERE ended IS NOT NULL AND began <= :began AND NOT EXISTS (
            SELECT 1 FROM connections WHERE trace = t.number
        )
        LIMIT :most
    )
    """,
)
"""Forget what was stored before a time; copies may be made of later traces."""
_MOST_ROWS = 10_000
"""How many rows are changed in a transaction: it takes a tenth of a second."""
_PAUSE_SECONDS = 0.1
"""How long SQLite waits at most before it tries again to begin a transaction."""
_HOP_SECONDS = 2 * 86_400
"""How long hops are remembered, so that each is annotated once a day."""


@dataclass(frozen=True)
class Kept:
    """A connection that was traced, or got a copy, with the text of the trace."""

    uuid: str
    traced: str
    """The UUID of the connection that the trace was made for."""
    began: float
    text: bytes


@dataclass(frozen=True)
class Archive:
    """What is stored together. Once it is cut, it does not change."""

    number: int
    day: str
    """When its traces began, as YYYY-MM-DD."""
    cut: float
    """When it was cut, in seconds since 1970."""


@dataclass(frozen=True)
class Hop:
    """An address that a trace met."""

    day: str
    """When the trace began, as YYYY-MM-DD."""
    address: str
    seen: float
    """When the first trace of that day began that met it."""


class Settled:
    """What a queue has for archives.

    Methods that change something raise ``sqlite3.OperationalError`` if the disk is
    full; nothing has changed then.
    """

    def __init__(self, file: Path, cache: float) -> None:
        self._base = open_file(file)
        self._cache = cache
        """How long connections get copies of a trace, in seconds from its start."""

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def find_size(self) -> int:
        """Return how many bytes of the file are in use."""
        pragmas = ("page_size", "page_count", "freelist_count")
        size, pages, free = (
            self._base.execute(f"PRAGMA {each}").fetchone()[0] for each in pragmas
        )
        return int(size * (pages - free))

    def list_unknown(self, most: int) -> list[Hop]:
        """Return hops that nobody has told about yet, those seen first."""
        query = """
            SELECT day, address, seen FROM hops
            WHERE told IS NULL ORDER BY seen LIMIT ?
        """
        return [Hop(*row) for row in self._base.execute(query, (most,))]

    def tell(self, known: Iterable[tuple[Hop, str]]) -> None:
        """Take what is known about hops, as JSON."""
        update = "UPDATE hops SET told = ? WHERE day = ? AND address = ?"
        with Transaction(self._base):
            rows = ((told, hop.day, hop.address) for hop, told in known)
            self._base.executemany(update, rows)

    def list_hops(self, archive: Archive) -> Iterator[tuple[Hop, str]]:
        """Yield the hops of an archive, with what is known about each, as JSON."""
        query = """
            SELECT day, address, seen, told FROM hops
            WHERE archive = ? ORDER BY seen, address
        """
        for day, address, seen, told in self._base.execute(query, (archive.number,)):
            yield Hop(day, address, seen), told

    def cut(self, before: float, now: float) -> list[Archive]:
        """Cut archives of all that is settled, if something has been before a time.

        Returns all archives that are not stored yet.
        """
        (first,) = self._base.execute(_OLDEST).fetchone()
        if first is not None and first <= before:
            with Transaction(self._base):
                known = self._base.execute("SELECT day FROM archives WHERE cut IS NULL")
                days = set(self._base.execute(_DAYS)) - set(known)
                insert = "INSERT INTO archives (day) VALUES (?)"
                self._base.executemany(insert, sorted(days))
        # A kill may have left some that are not whole; nobody has seen these.
        query = "SELECT number, day FROM archives WHERE cut IS NULL"
        for number, day in self._base.execute(query).fetchall():
            self._change(_TAKE, number=number, day=day)
            update = "UPDATE archives SET cut = ? WHERE number = ?"
            self._base.execute(update, (now, number))
        query = "SELECT number, day, cut FROM archives ORDER BY number"
        return [Archive(*row) for row in self._base.execute(query)]

    def list_kept(self, archive: Archive) -> Iterator[Kept]:
        """Yield the connections of an archive that have a trace, in their order."""
        query = """
            SELECT c.uuid, t.uuid, t.began, t.text
            FROM connections AS c JOIN traces AS t ON t.number = c.trace
            WHERE c.archive = ? ORDER BY c.number
        """
        for uuid, traced, began, packed in self._base.execute(query, (archive.number,)):
            yield Kept(uuid, traced, began, zlib.decompress(packed))

    def list_settled(self, archive: Archive) -> Iterator[dict[str, object]]:
        """Yield what became of each connection of an archive, and what was missed."""
        settled = """
            SELECT c.uuid, c.closed, c.client, c.client_port, c.server, c.server_port,
                c.outcome, c.reason, t.uuid AS trace, t.began, t.ended,
                iif(c.outcome = 'traced', t.first_hop, NULL) AS first_hop
            FROM connections AS c LEFT JOIN traces AS t ON t.number = c.trace
            WHERE c.archive = ? ORDER BY c.number
        """
        missed = """
            SELECT 'missed' AS outcome, since, until, reason FROM missed
            WHERE archive = ? ORDER BY rowid
        """
        for query in (settled, missed):
            rows = self._base.execute(query, (archive.number,))
            names = [column[0] for column in rows.description]
            for row in rows:
                told = dict(zip(names, row, strict=True))
                if packed := told.pop("first_hop", None):
                    told["first_hop"] = json.loads(zlib.decompress(packed))
                yield told

    def forget(self, archive: Archive, now: float) -> None:
        """Forget what was stored, but for traces that others may yet get copies of."""
        self._change(_FORGET, number=archive.number)
        # A trace that began on a day may end on the next one.
        self._change(_EXPIRE, seen=now - _HOP_SECONDS, began=now - self._cache)

    def _change(self, statements: Iterable[str], **values: float | str) -> None:
        """Change all rows that statements are about, ``most`` in a transaction.

        Between two of them, the thread that traces can do what it has to.
        """
        given = {**values, "most": _MOST_ROWS}
        for statement in statements:
            while self._base.execute(statement, given).rowcount == _MOST_ROWS:
                time.sleep(_PAUSE_SECONDS)
