"""The queue of connections that wait for a trace: who gets which, and who is next."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.connections.closing import name_netblock
from anabranch.connections.queuefile import Transaction, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from anabranch_engine import PrefixSet

    from anabranch.connections.closing import Address, Closing, Missed

EXCLUDED, QUEUE_FULL, REFUSED = "excluded", "queue full", "refused"
WAITED_TOO_LONG, GIVEN_UP = "waited too long", "given up"
REASONS = (EXCLUDED, QUEUE_FULL, WAITED_TOO_LONG, REFUSED, GIVEN_UP)
"""Why connections are dropped. Of those that are refused, records say more."""
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
_DROP = """
UPDATE connections
SET outcome = 'dropped', reason = :reason, settled = :now,
    day = date(heard, 'unixepoch')
WHERE outcome IS NULL
"""
"""Drops all that wait; more conditions may follow."""
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
    excluded: PrefixSet
    """The clients that are not to be traced."""
    hides_clients: bool
    """Whether the texts of traces have netblocks in place of clients."""


@dataclass(frozen=True)
class Traced:
    """What is kept of a trace."""

    began: float
    """When it began, in seconds since 1970."""
    text: bytes
    first_hop: str = "[]"
    """The probes to the first hop, as JSON."""
    hops: Sequence[str] = ()
    """The addresses that are to be annotated, once on the day on which it began."""


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
    hops_met: int = 0
    """How many hops no trace of the same day had met before."""
    hops_told: int = 0
    """How many hops somebody told about."""
    hops_stored: int = 0
    annotator_errors: int = 0
    """How often nobody told about hops that were asked about."""
    bytes: int = 0
    """The size of the queue, when it was looked at last."""

    @property
    def dropped(self) -> int:
        """How many connections were dropped."""
        return self.reasons.total()


class Waiting:
    """Connections that wait, traces that go on, and those that others get copies of.

    Methods that change something raise ``sqlite3.OperationalError`` if the disk is
    full; nothing has changed then.
    """

    def __init__(self, file: Path, terms: Terms) -> None:
        self.terms = terms
        self.counts = Counts()
        self._base = open_file(file)
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
        """Go on with what another process left, by the terms of this one.

        Traces that it left unfinished have sent probes, for all that is known until
        just now. So their clients are traced again, but not earlier than any other
        client would be. Connections that the terms do not let wait are dropped, by the
        order in which they came.
        """
        update = "UPDATE traces SET began = ?, ended = ? WHERE ended IS NULL"
        with Transaction(self._base):
            self._base.execute(update, (now, now))
            dropped = self._list_unfit()
            for number, reason in dropped:
                self._drop("AND number = :number", reason, now, number=number)
        self._count()
        self.counts.reasons += Counter(reason for _, reason in dropped)

    def put_back(self) -> None:
        """Let wait those whose traces were cut, before all that came after them."""
        with Transaction(self._base):
            self._base.execute("DELETE FROM traces WHERE ended IS NULL")
        self.counts.running = 0

    def add(
        self,
        closings: Iterable[Closing],
        missed: Iterable[Missed],
        *,
        heard_until: float | None,
        now: float,
    ) -> None:
        """Take connections that have ended; those whose UUID is known are passed over.

        Up to ``heard_until``, nothing else was to be heard. A flood of one netblock
        takes half of the queue.
        """
        gaps = list(missed)
        more, waiting = Counter[str](), self.counts.waiting
        copied, dropped = 0, Counter[str]()
        with Transaction(self._base):
            for closing in closings:
                client, block = closing.client, name_netblock(closing.client)
                known, reason = None, self._find_exclusion(str(client))
                if not reason and not (known := self._find_known(client, now)):
                    share = self._shares[block] + more[block]
                    reason = self._find_lack(waiting, share)
                if not self._insert(closing, known, reason, now):
                    continue
                copied += known is not None
                if reason:
                    dropped[reason] += 1
                if not known and not reason:
                    more[block] += 1
                    waiting += 1
            rows = [(each.since, each.until, each.reason) for each in gaps]
            insert = "INSERT INTO missed (since, until, reason) VALUES (?, ?, ?)"
            self._base.executemany(insert, rows)
            if heard_until is not None:
                upsert = "INSERT OR REPLACE INTO heard VALUES (1, ?)"
                self._base.execute(upsert, (heard_until,))
        self._shares += more
        self.counts.waiting = waiting
        self.counts.copied += copied
        self.counts.reasons += dropped
        self.counts.missed += len(gaps)

    def begin(self, room: int, now: float) -> list[tuple[int, str]]:
        """Begin up to ``room`` traces; return the number and the client of each.

        Netblocks take turns. Of one, the client that has waited longest comes first.
        """
        insert = """
            INSERT INTO traces (client, block, uuid, began, is_hidden)
            VALUES (?, ?, ?, ?, ?)
        """
        hides = self.terms.hides_clients
        with Transaction(self._base):
            given_up = self._give_up(now)
            due = self._base.execute(_DUE, (now - self.terms.cache, room)).fetchall()
            begun = [
                (self._base.execute(insert, (*row, now, hides)).lastrowid or 0, row[0])
                for row in due
            ]
        self.counts.running += len(begun)
        self.counts.reasons[WAITED_TOO_LONG] += given_up
        if given_up:
            self._count()
        return begun

    def end(self, number: int, traced: Traced, now: float) -> None:
        """Take a trace; all connections of its client that wait get it."""
        settle = """
            UPDATE connections
            SET trace = :number, settled = :now, day = date(:began, 'unixepoch'),
                outcome = CASE
                    WHEN uuid = (SELECT uuid FROM traces WHERE number = :number)
                    THEN 'traced' ELSE 'copied' END
            WHERE outcome IS NULL
                AND client = (SELECT client FROM traces WHERE number = :number)
        """
        began = traced.began
        values = {"number": number, "began": began, "now": now}
        block = self._find_block(number)
        with Transaction(self._base):
            update = """
                UPDATE traces SET began = ?, ended = ?, text = ?, first_hop = ?
                WHERE number = ?
            """
            texts = (traced.text, traced.first_hop.encode())
            packed = (zlib.compress(each, _LEVEL) for each in texts)
            self._base.execute(update, (began, now, *packed, number))
            done = self._base.execute(settle, values).rowcount
            insert = """
                INSERT OR IGNORE INTO hops (day, address, seen)
                VALUES (date(?, 'unixepoch'), ?, ?)
            """
            rows = ((began, hop, began) for hop in traced.hops)
            met = self._base.executemany(insert, rows).rowcount
        self.counts.running -= 1
        self._leave(block, done)
        self.counts.hops_met += met
        self.counts.traced += min(done, 1)
        self.counts.copied += max(done - 1, 0)

    def refuse(self, number: int, reason: str, now: float) -> None:
        """Take it that a client could not be probed at all; the next one may be."""
        which = "AND client = (SELECT client FROM traces WHERE number = :number)"
        block = self._find_block(number)
        with Transaction(self._base):
            done = self._drop(which, reason, now, number=number)
            self._base.execute("DELETE FROM traces WHERE number = ?", (number,))
        self.counts.running -= 1
        self._leave(block, done)
        self.counts.reasons[REFUSED] += done

    def give_up(self, now: float) -> None:
        """Drop all that waits, since no trace goes on and none will begin."""
        with Transaction(self._base):
            done = self._drop("", GIVEN_UP, now)
        self._count()
        self.counts.reasons[GIVEN_UP] += done

    def _find_exclusion(self, client: str) -> str | None:
        return EXCLUDED if client in self.terms.excluded else None

    def _find_lack(self, waiting: int, share: int) -> str | None:
        """Return why a connection can't wait beside others, ``share`` of its netblock.

        A netblock may have as many that wait as there is room left for others.
        """
        left = self.terms.max_waiting - waiting
        return QUEUE_FULL if left <= 0 or share >= left else None

    def _list_unfit(self) -> list[tuple[int, str]]:
        """Return which connections may not wait by the present terms, and why."""
        query = """
            SELECT number, client, block FROM connections
            WHERE outcome IS NULL ORDER BY number
        """
        shares, waiting, unfit = Counter[str](), 0, list[tuple[int, str]]()
        for number, client, block in self._base.execute(query):
            reason = self._find_exclusion(client)
            if reason := reason or self._find_lack(waiting, shares[block]):
                unfit.append((number, reason))
            else:
                shares[block] += 1
                waiting += 1
        return unfit

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
            WHERE client = ? AND began > ? AND text IS NOT NULL AND is_hidden >= ?
            ORDER BY began DESC LIMIT 1
        """
        values = (str(client), now - self.terms.cache, self.terms.hides_clients)
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
        which = """
            AND heard < :before AND NOT EXISTS (
                SELECT 1 FROM traces AS t
                WHERE t.client = connections.client AND t.ended IS NULL
            )
        """
        before = now - self.terms.max_wait
        return self._drop(which, WAITED_TOO_LONG, now, before=before)

    def _drop(self, which: str, reason: str, now: float, **values: float) -> int:
        """Drop connections that wait, by a condition in SQL; return how many."""
        given = {"reason": reason, "now": now, **values}
        return self._base.execute(_DROP + which, given).rowcount
