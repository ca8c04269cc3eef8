"""The file of a queue: its tables, and how it is opened and changed.

It survives the process at any instant. Several threads may use it, each by a connection
of its own. Whatever is decided is decided in a transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
CREATE INDEX IF NOT EXISTS overdue ON connections (heard) WHERE outcome IS NULL;
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
    text BLOB,
    first_hop BLOB,
    is_hidden INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS known ON traces (client, began);
CREATE INDEX IF NOT EXISTS going ON traces (client, block) WHERE ended IS NULL;
DROP INDEX IF EXISTS running;
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
CREATE INDEX IF NOT EXISTS archived_hops ON hops (archive, seen)
    WHERE archive IS NOT NULL;
CREATE TABLE IF NOT EXISTS archives (
    number INTEGER PRIMARY KEY, day TEXT NOT NULL, cut REAL
) STRICT;
CREATE TABLE IF NOT EXISTS heard (
    one INTEGER PRIMARY KEY CHECK (one = 1), until REAL NOT NULL
) STRICT;
"""
_WAIT_SECONDS = 10
"""How long a transaction waits for another thread's to end."""
_LOG_PAGES = 250
"""How long the log of changes gets, in pages of 4 KiB."""


def open_file(file: Path) -> sqlite3.Connection:
    """Open a queue's file, or begin one; one thread at a time may use what it returns.

    Raises:
        sqlite3.Error: If it is damaged, or if the disk is full.
    """
    base = sqlite3.connect(
        file, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    base.execute("PRAGMA journal_mode = WAL")
    # The process may be killed at any time; a power cut may take the last second.
    base.execute("PRAGMA synchronous = NORMAL")
    base.executescript(_SCHEMA)
    base.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    return base


def explain(error: sqlite3.Error, folder: Path) -> str:
    """Return what keeps the queue in a folder from being used, with the remedy."""
    remedy = "it is damaged; move it away: what it has and no archive has is lost"
    if isinstance(error, sqlite3.OperationalError):
        remedy = "make room there, and see that it can be written to"
    return f"{folder}: {error}; {remedy}"


@dataclass(frozen=True)
class Transaction:
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
