"""What is settled: connections that have an outcome, and hops, until both are stored.

It is in the queue's file.
"""

from __future__ import annotations

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
_TAKE_MISSED = """
UPDATE missed SET archive = ? WHERE archive IS NULL AND date(until, 'unixepoch') = ?
"""
_TAKE = """
UPDATE connections SET archive = ?
WHERE outcome IS NOT NULL AND archive IS NULL AND day = ?
"""
_TAKE_HOPS = """
UPDATE hops SET archive = ? WHERE told IS NOT NULL AND archive IS NULL AND day = ?
"""
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
            insert = "INSERT INTO archives (day, cut) VALUES (?, ?)"
            with Transaction(self._base):
                for (day,) in self._base.execute(_DAYS).fetchall():
                    number = self._base.execute(insert, (day, now)).lastrowid
                    self._base.execute(_TAKE, (number, day))
                    self._base.execute(_TAKE_MISSED, (number, day))
                    self._base.execute(_TAKE_HOPS, (number, day))
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
                c.outcome, c.reason, t.uuid AS trace, t.began, t.ended
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
                yield dict(zip(names, row, strict=True))

    def forget(self, archive: Archive, now: float) -> None:
        """Forget what was stored, but for traces that others may yet get copies of."""
        old = """
            DELETE FROM traces
            WHERE ended IS NOT NULL AND began <= ? AND NOT EXISTS (
                SELECT 1 FROM connections WHERE trace = traces.number
            )
        """
        number = (archive.number,)
        # A trace that began on a day may end on the next one.
        past = "DELETE FROM hops WHERE archive IS NOT NULL AND seen <= ?"
        with Transaction(self._base):
            self._base.execute("UPDATE hops SET archive = 0 WHERE archive = ?", number)
            self._base.execute(past, (now - _HOP_SECONDS,))
            self._base.execute("DELETE FROM connections WHERE archive = ?", number)
            self._base.execute("DELETE FROM missed WHERE archive = ?", number)
            self._base.execute("DELETE FROM archives WHERE number = ?", number)
            self._base.execute(old, (now - self._cache,))
