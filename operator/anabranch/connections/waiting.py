"""The queue of connections that wait for a trace, and what became of the others.

It lives in a file, and survives the process at any instant. Whatever is decided is
decided in a transaction.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from anabranch.connections.closing import Address, Closing, Missed

EXCLUDED, QUEUE_FULL, REFUSED = "excluded", "queue full", "refused"
WAITED_TOO_LONG, GIVEN_UP = "waited too long", "given up"
REASONS = (EXCLUDED, QUEUE_FULL, WAITED_TOO_LONG, REFUSED, GIVEN_UP)
"""Why connections are dropped. Of those that are refused, records say more."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS connections (
    number INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    block TEXT NOT NULL,
    client_port INTEGER NOT NULL,
    server TEXT NOT NULL,
    server_port INTEGER NOT NULL,
    closed REAL NOT NULL,
    heard REAL NOT NULL,
    outcome TEXT,
    reason TEXT,
    trace INTEGER,
    settled REAL,
    day TEXT,
    archive INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS waiting ON connections (client, number)
    WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS settled ON connections (settled)
    WHERE outcome IS NOT NULL AND archive IS NULL;
CREATE INDEX IF NOT EXISTS archived ON connections (archive)
    WHERE archive IS NOT NULL;
CREATE INDEX IF NOT EXISTS traced ON connections (trace) WHERE trace IS NOT NULL;
CREATE TABLE IF NOT EXISTS traces (
    number INTEGER PRIMARY KEY,
    client TEXT NOT NULL,
    block TEXT NOT NULL,
    uuid TEXT,
    began REAL NOT NULL,
    ended REAL,
    text BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS known ON traces (client, began);
CREATE INDEX IF NOT EXISTS running ON traces (block) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS missed (
    since REAL NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL, archive INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS hops (
    day TEXT NOT NULL,
    address TEXT NOT NULL,
    seen REAL NOT NULL,
    told TEXT,
    archive INTEGER,
    PRIMARY KEY (day, address)
) STRICT;
CREATE INDEX IF NOT EXISTS unknown ON hops (seen) WHERE told IS NULL;
CREATE INDEX IF NOT EXISTS archived_hops ON hops (archive) WHERE archive IS NOT NULL;
CREATE TABLE IF NOT EXISTS archives (
    number INTEGER PRIMARY KEY, day TEXT NOT NULL, cut REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS heard (
    one INTEGER PRIMARY KEY CHECK (one = 1), until REAL NOT NULL
) STRICT;
"""
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
_DUE = """
WITH due AS (
    SELECT client, block, min(number) AS first
    FROM connections AS c
    WHERE outcome IS NULL AND NOT EXISTS (
        SELECT 1 FROM traces AS t
        WHERE t.client = c.client AND (t.began > ? OR t.ended IS NULL)
    )
    GROUP BY client
)
SELECT client, block, (SELECT uuid FROM connections WHERE number = first)
FROM due
ORDER BY row_number() OVER (PARTITION BY block ORDER BY first) + (
    SELECT count(*) FROM traces AS t WHERE t.block = due.block AND t.ended IS NULL
), first
LIMIT ?
"""
"""The clients that may be traced now, by how many of their netblock go before."""
_NETBLOCKS = {4: 24, 6: 64}
"""The prefix lengths of netblocks, by the version of IP."""
_WAIT_SECONDS = 10
_HOP_SECONDS = 2 * 86_400
"""How long hops are remembered, so that each is annotated once a day."""
_LOG_PAGES = 250
"""How long the log of changes gets, in pages of 4 KiB."""
_LEVEL = 1
"""How hard texts are compressed: a tenth of their size is enough."""


@dataclass(frozen=True)
class Terms:
    """How long what may wait, and how much. Times are in seconds."""

    cache: float
    """How long a client is not traced again, from the start of its trace."""
    max_waiting: int
    """The most connections that wait."""
    max_wait: float
    """How long a connection may wait."""


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


@dataclass
class Counts:
    """What a queue has done since it was opened, and what it has to do."""

    waiting: int = 0
    running: int = 0
    traced: int = 0
    copied: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """How many were dropped, by one of `REASONS`."""
    missed: int = 0
    unreadable: int = 0
    bytes: int = 0
    """The size of the queue, when it was looked at last."""

    @property
    def dropped(self) -> int:
        """How many connections were dropped."""
        return self.reasons.total()


class Waiting:
    """Connections that wait, traces that go on, and what is to be stored of both.

    Methods that change something raise ``sqlite3.OperationalError`` if the disk is
    full; nothing has changed then.
    """

    def __init__(self, file: Path, terms: Terms) -> None:
        self.terms = terms
        self.counts = Counts()
        self._base = sqlite3.connect(
            file, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._base.execute("PRAGMA journal_mode = WAL")
        # The process may be killed at any time; a power cut may take the last second.
        self._base.execute("PRAGMA synchronous = NORMAL")
        self._base.executescript(_SCHEMA)
        self._base.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        self._shares: Counter[str] = Counter()
        """How many connections of each netblock wait."""
        self._count()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @property
    def heard_until(self) -> float | None:
        """When somebody listened to events last, in seconds since 1970."""
        found = self._base.execute("SELECT until FROM heard").fetchone()
        return found[0] if found else None

    def _count(self) -> None:
        """Count what waits."""
        query = """
            SELECT block, count(*) FROM connections WHERE outcome IS NULL GROUP BY block
        """
        self._shares = Counter(dict(self._base.execute(query).fetchall()))
        self.counts.waiting = self._shares.total()

    def resume(self, now: float) -> None:
        """End the traces that a process left unfinished.

        Their clients have had probes, for all that is known until just now. So they
        are traced again, but not earlier than any other client would be.
        """
        update = "UPDATE traces SET began = ?, ended = ? WHERE ended IS NULL"
        with self._transaction():
            self._base.execute(update, (now, now))

    def add(
        self,
        closings: Iterable[Closing],
        missed: Iterable[Missed],
        excluded: Iterable[str],
        *,
        heard_until: float | None,
        now: float,
    ) -> None:
        """Take connections that have ended; those whose UUID is known are passed over.

        ``excluded`` are the UUIDs of those whose clients are not to be traced. Up to
        ``heard_until``, nothing else was to be heard.

        A netblock may have as many that wait as there is room left for others: a flood
        of one takes half of the queue.
        """
        excluded, gaps = set(excluded), list(missed)
        more = Counter[str]()
        copied, dropped = 0, Counter[str]()
        with self._transaction():
            for closing in closings:
                known, reason = None, None
                if closing.uuid in excluded:
                    reason = EXCLUDED
                elif known := self._find_known(closing.client, now):
                    pass
                elif self._has_no_room(closing.client, more):
                    reason = QUEUE_FULL
                if not self._insert(closing, known, reason, now):
                    continue
                copied += known is not None
                if reason:
                    dropped[reason] += 1
                if not known and not reason:
                    more[name_netblock(closing.client)] += 1
            rows = [(each.since, each.until, each.reason) for each in gaps]
            insert = "INSERT INTO missed (since, until, reason) VALUES (?, ?, ?)"
            self._base.executemany(insert, rows)
            if heard_until is not None:
                upsert = "INSERT OR REPLACE INTO heard VALUES (1, ?)"
                self._base.execute(upsert, (heard_until,))
        self._shares += more
        self.counts.waiting += more.total()
        self.counts.copied += copied
        self.counts.reasons += dropped
        self.counts.missed += len(gaps)

    def begin(self, room: int, now: float) -> list[tuple[int, str]]:
        """Begin up to ``room`` traces; return the number and the client of each.

        Netblocks take turns. Of one, the client that has waited longest comes first.
        """
        insert = "INSERT INTO traces (client, block, uuid, began) VALUES (?, ?, ?, ?)"
        with self._transaction():
            given_up = self._give_up(now)
            due = self._base.execute(_DUE, (now - self.terms.cache, room)).fetchall()
            begun = [
                (self._base.execute(insert, (*row, now)).lastrowid or 0, row[0])
                for row in due
            ]
        self.counts.running += len(begun)
        self.counts.reasons[WAITED_TOO_LONG] += given_up
        if given_up:
            self._count()
        return begun

    def end(
        self,
        number: int,
        began: float,
        text: bytes,
        now: float,
        hops: Iterable[str] = (),
    ) -> None:
        """Take a trace; all connections of its client that wait get it.

        Each of its hops is to be annotated, once on the day on which it began.
        """
        settle = """
            UPDATE connections
            SET trace = :number, settled = :now, day = date(:began, 'unixepoch'),
                outcome = CASE
                    WHEN uuid = (SELECT uuid FROM traces WHERE number = :number)
                    THEN 'traced' ELSE 'copied' END
            WHERE outcome IS NULL
                AND client = (SELECT client FROM traces WHERE number = :number)
        """
        values = {"number": number, "began": began, "now": now}
        block = self._find_block(number)
        with self._transaction():
            update = "UPDATE traces SET began = ?, ended = ?, text = ? WHERE number = ?"
            packed = zlib.compress(text, _LEVEL)
            self._base.execute(update, (began, now, packed, number))
            done = self._base.execute(settle, values).rowcount
            insert = """
                INSERT OR IGNORE INTO hops (day, address, seen)
                VALUES (date(?, 'unixepoch'), ?, ?)
            """
            self._base.executemany(insert, ((began, hop, began) for hop in hops))
        self.counts.running -= 1
        self._leave(block, done)
        self.counts.traced += min(done, 1)
        self.counts.copied += max(done - 1, 0)

    def refuse(self, number: int, reason: str, now: float) -> None:
        """Take it that a client could not be probed at all; the next one may be."""
        drop = """
            UPDATE connections
            SET outcome = 'dropped', reason = :reason, settled = :now,
                day = date(heard, 'unixepoch')
            WHERE outcome IS NULL
                AND client = (SELECT client FROM traces WHERE number = :number)
        """
        values = {"number": number, "reason": reason, "now": now}
        block = self._find_block(number)
        with self._transaction():
            done = self._base.execute(drop, values).rowcount
            self._base.execute("DELETE FROM traces WHERE number = ?", (number,))
        self.counts.running -= 1
        self._leave(block, done)
        self.counts.reasons[REFUSED] += done

    def give_up(self, now: float) -> None:
        """Drop all that waits, since no trace goes on and none will begin."""
        drop = """
            UPDATE connections
            SET outcome = 'dropped', reason = ?, settled = ?,
                day = date(heard, 'unixepoch')
            WHERE outcome IS NULL
        """
        with self._transaction():
            done = self._base.execute(drop, (GIVEN_UP, now)).rowcount
        self._count()
        self.counts.reasons[GIVEN_UP] += done

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
        with self._transaction():
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
            with self._transaction():
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
        with self._transaction():
            self._base.execute("UPDATE hops SET archive = 0 WHERE archive = ?", number)
            self._base.execute(past, (now - _HOP_SECONDS,))
            self._base.execute("DELETE FROM connections WHERE archive = ?", number)
            self._base.execute("DELETE FROM missed WHERE archive = ?", number)
            self._base.execute("DELETE FROM archives WHERE number = ?", number)
            self._base.execute(old, (now - self.terms.cache,))

    def _has_no_room(self, client: Address, more: Counter[str]) -> bool:
        """Return whether a connection can't wait; ``more`` have come before it."""
        block = name_netblock(client)
        left = self.terms.max_waiting - self.counts.waiting - more.total()
        return left <= 0 or self._shares[block] + more[block] >= left

    def _find_block(self, number: int) -> str:
        query = "SELECT block FROM traces WHERE number = ?"
        (block,) = self._base.execute(query, (number,)).fetchone()
        return str(block)

    def _leave(self, block: str, count: int) -> None:
        """Note that so many connections of a netblock do not wait any more."""
        self.counts.waiting -= count
        self._shares[block] -= count
        if not self._shares[block]:
            del self._shares[block]

    def _find_known(self, client: Address, now: float) -> tuple[int, float] | None:
        """Return the trace that a connection gets a copy of, and when it began."""
        query = """
            SELECT number, began FROM traces
            WHERE client = ? AND began > ? AND text IS NOT NULL
            ORDER BY began DESC LIMIT 1
        """
        values = (str(client), now - self.terms.cache)
        found: tuple[int, float] | None = self._base.execute(query, values).fetchone()
        return found

    def _insert(
        self,
        closing: Closing,
        known: tuple[int, float] | None,
        reason: str | None,
        now: float,
    ) -> bool:
        """Insert a connection; return False if its UUID is known."""
        trace, day = known or (None, now)
        outcome = "copied" if known else "dropped" if reason else None
        insert = """
            INSERT OR IGNORE INTO connections (
                uuid, client, block, client_port, server, server_port, closed, heard,
                outcome, reason, trace, settled, day
            ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, date(?, 'unixepoch'))
        """
        values = (
            closing.uuid,
            str(closing.client),
            name_netblock(closing.client),
            closing.client_port,
            str(closing.server),
            closing.server_port,
            closing.at,
            now,
            outcome,
            reason,
            trace,
            now if outcome else None,
            day,
        )
        return self._base.execute(insert, values).rowcount == 1

    def _give_up(self, now: float) -> int:
        """Drop connections that have waited too long, unless their trace goes on."""
        drop = """
            UPDATE connections
            SET outcome = 'dropped', reason = ?, settled = ?,
                day = date(heard, 'unixepoch')
            WHERE outcome IS NULL AND heard < ? AND NOT EXISTS (
                SELECT 1 FROM traces AS t
                WHERE t.client = connections.client AND t.ended IS NULL
            )
        """
        values = (WAITED_TOO_LONG, now, now - self.terms.max_wait)
        return self._base.execute(drop, values).rowcount

    def _transaction(self) -> _Transaction:
        return _Transaction(self._base)


@dataclass(frozen=True)
class _Transaction:
    """A change as a whole, or none."""

    base: sqlite3.Connection

    def __enter__(self) -> None:
        self.base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.base.execute("COMMIT")
        finally:
            # A commit fails where the disk is full.
            if self.base.in_transaction:
                self.base.execute("ROLLBACK")


def name_netblock(address: Address) -> str:
    """Return the first address of a client's netblock: its /24, or its /64."""
    length = _NETBLOCKS[address.version]
    return str(ip_network((address, length), strict=False).network_address)
