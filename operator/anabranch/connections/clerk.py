"""What annotates hops and stores archives, beside the thread that traces.

The store or an annotator may take as long as it will: no trace waits for them.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.connections.queuefile import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.connections.counts import Counts
    from anabranch.connections.hops import Annotator
    from anabranch.connections.storing import Storing

_LOOK_SECONDS = 5.0
"""How often it looks whether an archive is due, or waits for the store."""
_MOST_HOPS = 100
"""How many addresses are asked about at once: they stand in an URL."""


@dataclass
class Clerk:
    """Annotates and stores what is settled, until it is told to end."""

    storing: Storing
    archive_seconds: float
    """How long what is settled waits, at most."""
    annotator: Annotator | None
    counts: Counts
    """Where it counts, beside others that count other things."""
    now: Callable[[], float] = time.time
    """The time in seconds since 1970."""
    disk_trouble: str = ""
    """What is wrong with the queue's folder, if anything is."""
    store_trouble: str = ""
    """Why the store does not take archives, if it does not."""
    annotator_trouble: str = ""
    """Why nobody tells about addresses, if nobody does."""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Let it store everything once more, and end."""
        self._stopped.set()

    def run(self) -> None:
        """Annotate and store until it is stopped; what can't be stored waits.

        Raises:
            sqlite3.DatabaseError: If the queue is damaged.
        """
        with closing(self.storing):
            while not self._stopped.wait(_LOOK_SECONDS):
                self._work(self.archive_seconds)
            # What has ended stays here no longer than it must.
            self._work(0)

    def _work(self, age: float) -> None:
        """Annotate, and store what is settled since ``age`` seconds."""
        try:
            self._annotate()
            self._store(age)
        except sqlite3.OperationalError as error:
            self.disk_trouble = explain(error, self.storing.folder)
        else:
            self.disk_trouble = ""

    def _annotate(self) -> None:
        """Ask about hops; those that nobody tells of now are asked for again."""
        if self.annotator is None:
            return
        settled = self.storing.settled
        try:
            while hops := settled.list_unknown(_MOST_HOPS):
                told = self.annotator.annotate([hop.address for hop in hops])
                settled.tell(
                    (hop, json.dumps(told.get(hop.address, {}))) for hop in hops
                )
                self.counts.hops_told += sum(hop.address in told for hop in hops)
        except OSError as error:
            self.annotator_trouble = str(error)
            self.counts.annotator_errors += 1
        else:
            self.annotator_trouble = ""

    def _store(self, age: float) -> None:
        try:
            self.storing.flush(age, self.now())
        except OSError as error:
            self.store_trouble = str(error)
        else:
            self.store_trouble = ""
        self.counts.hops_stored = self.storing.hops
        self.counts.bytes = self.storing.settled.find_size()
