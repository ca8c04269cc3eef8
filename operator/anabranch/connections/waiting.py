"""The queue of connections that wait for a trace: who gets which, and who is next."""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.connections.closing import name_netblock
from anabranch.connections.counts import (
    EXCLUDED,
    GIVEN_UP,
    QUEUE_FULL,
    REFUSED,
    TIME_LIMIT,
    WAITED_TOO_LONG,
    Counts,
)
from anabranch.connections.queuefile import Transaction, open_file
from anabranch.connections.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from anabranch_engine import PrefixSet

    from anabranch.connections.closing import Address, Closing, Missed

_CLIENTS = """
SELECT client, block, min(number), (
    SELECT max(began) FROM traces AS t WHERE t.client = c.client
)
FROM connections AS c
WHERE outcome IS NULL AND NOT EXISTS (
    SELECT 1 FROM traces AS t WHERE t.client = c.client AND t.ended IS NULL
)
GROUP BY client
"""
"""The clients that wait for a trace, with the start of their last one."""
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
        self._turns = Turns()
        self._load()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @property
    def heard_until(self) -> float | None:
        """When somebody listened to events last, in seconds since 1970."""
        found = self._base.execute("SELECT until FROM heard").fetchone()
        return found[0] if found else None

    def _load(self) -> None:
        """Find in the file what waits, and what goes on."""
        query = """
            SELECT block, count(*) FROM connections WHERE outcome IS NULL GROUP BY block
        """
        self._shares = Counter(dict(self._base.execute(query).fetchall()))
        self.counts.waiting = self._shares.total()
        query = "SELECT client, block FROM traces WHERE ended IS NULL"
        self._turns = Turns(self._base.execute(query))
        for client, block, number, began in self._base.execute(_CLIENTS):
            self._turns.join(client, block, number, self._find_rest(began))

    def _find_rest(self, began: float | None) -> float:
        """Return when a client may be traced, by the start of its last trace."""
        return 0.0 if began is None else began + self.terms.cache

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
        self._load()
        self.counts.reasons += Counter(reason for _, reason in dropped)

    def put_back(self) -> None:
        """Let wait those whose traces were cut, before all that came after them."""
        with Transaction(self._base):
            self._base.execute("DELETE FROM traces WHERE ended IS NULL")
        self._load()
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
        joining = list[tuple[str, str, int, float]]()
        with Transaction(self._base):
            for closing in closings:
                client, block = closing.client, name_netblock(closing.client)
                known, reason = None, self._find_exclusion(str(client))
                if not reason and not (known := self._find_known(client, now)):
                    share = self._shares[block] + more[block]
                    reason = self._find_lack(waiting, share)
                number = self._insert(closing, known, reason, now)
                if number is None:
                    continue
                copied += known is not None
                if reason:
                    dropped[reason] += 1
                if not known and not reason:
                    more[block] += 1
                    waiting += 1
                    rest = self._find_rest(self._find_start(client))
                    joining.append((str(client), block, number, rest))
            rows = [(each.since, each.until, each.reason) for each in gaps]
            insert = "INSERT INTO missed (since, until, reason) VALUES (?, ?, ?)"
            self._base.executemany(insert, rows)
            if heard_until is not None:
                upsert = "INSERT OR REPLACE INTO heard VALUES (1, ?)"
                self._base.execute(upsert, (heard_until,))
        self._shares.update(more)
        for each in joining:
            self._turns.join(*each)
        self.counts.waiting = waiting
        self.counts.copied += copied
        self.counts.reasons += dropped
        self.counts.missed += len(gaps)

    def begin(self, room: int, now: float) -> list[tuple[int, str]]:
        """Begin up to ``room`` traces; return the number and the client of each.

        Netblocks take turns. Of one, the client that has waited longest comes first.
        """
        try:
            with Transaction(self._base):
                given_up = self._give_up(now)
                begun = list[tuple[int, str]]()
                while len(begun) < room and (turn := self._turns.take(now)):
                    if number := self._begin(*turn, now):
                        begun.append((number, turn[0]))
                    else:
                        self._turns.leave(*turn)
        except sqlite3.OperationalError:
            self._load()
            raise
        for block, count in given_up.items():
            self._release(block, count)
        self.counts.running += len(begun)
        self.counts.reasons[WAITED_TOO_LONG] += given_up.total()
        return begun

    def _begin(self, client: str, block: str, now: float) -> int | None:
        """Begin a trace; return its number, or None if the client waits no longer."""
        insert = """
            INSERT INTO traces (client, block, began, is_hidden, uuid)
            SELECT :client, :block, :now, :hides, uuid FROM connections
            WHERE outcome IS NULL AND client = :client ORDER BY number LIMIT 1
        """
        values = {"client": client, "block": block, "now": now}
        values["hides"] = self.terms.hides_clients
        done = self._base.execute(insert, values)
        return done.lastrowid if done.rowcount else None

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
        client, block = self._find_client(number)
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
        self._leave(client, block, done)
        self.counts.hops_met += met
        self.counts.traced += min(done, 1)
        self.counts.copied += max(done - 1, 0)

    def refuse(self, number: int, reason: str, now: float) -> None:
        """Take it that a trace has no result; the client's next connection gets one."""
        which = "AND client = (SELECT client FROM traces WHERE number = :number)"
        client, block = self._find_client(number)
        with Transaction(self._base):
            done = self._drop(which, reason, now, number=number).total()
            self._base.execute("DELETE FROM traces WHERE number = ?", (number,))
        self.counts.running -= 1
        self._leave(client, block, done)
        known = reason if reason == TIME_LIMIT else REFUSED
        self.counts.reasons[known] += done

    def give_up(self, now: float) -> None:
        """Drop all that waits, since no trace goes on and none will begin."""
        with Transaction(self._base):
            done = self._drop("", GIVEN_UP, now)
        self._load()
        self.counts.reasons[GIVEN_UP] += done.total()

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

    def _find_client(self, number: int) -> tuple[str, str]:
        """Return the client of a trace, and its netblock."""
        query = "SELECT client, block FROM traces WHERE number = ?"
        client, block = self._base.execute(query, (number,)).fetchone()
        return client, block

    def _leave(self, client: str, block: str, count: int) -> None:
        """Note that a trace has ended, for which so many connections waited."""
        self._turns.leave(client, block)
        self._release(block, count)

    def _release(self, block: str, count: int) -> None:
        """Note that so many connections of a netblock do not wait any more."""
        self.counts.waiting -= count
        self._shares[block] -= count
        if not self._shares[block]:
            del self._shares[block]

    def _find_start(self, client: Address) -> float | None:
        """Return when the last trace of a client began."""
        query = "SELECT max(began) FROM traces WHERE client = ?"
        found: tuple[float | None] = self._base.execute(
            query, (str(client),)
        ).fetchone()
        return found[0]

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
    ) -> int | None:
        """Insert a connection; return its number, or None if its UUID is known."""
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
        done = self._base.execute(insert, values)
        return done.lastrowid if done.rowcount == 1 else None

    def _give_up(self, now: float) -> Counter[str]:
        """Drop connections that have waited too long, unless their trace goes on.

        Returns how many of each netblock.
        """
        which = """
            AND heard < :before AND NOT EXISTS (
                SELECT 1 FROM traces AS t
                WHERE t.client = connections.client AND t.ended IS NULL
            )
        """
        before = now - self.terms.max_wait
        return self._drop(which, WAITED_TOO_LONG, now, before=before)

    def _drop(
        self, which: str, reason: str, now: float, **values: float
    ) -> Counter[str]:
        """Drop connections that wait, by a condition in SQL.

        Returns how many of each netblock.
        """
        given = {"reason": reason, "now": now, **values}
        rows = self._base.execute(f"{_DROP} {which} RETURNING block", given)
        return Counter(block for (block,) in rows)
