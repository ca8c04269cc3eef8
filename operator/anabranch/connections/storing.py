"""The way of what is settled from a queue to the store."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from anabranch_engine import PrefixSet

from anabranch.api.connections import Connections
from anabranch.connections.archive import (
    CONNECTIONS,
    HOPS,
    TRACES,
    Naming,
    write_connections,
    write_hops,
    write_traces,
)
from anabranch.connections.closing import name_netblock
from anabranch.connections.settled import Settled
from anabranch.connections.waiting import Terms, Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.connections.closing import Address
    from anabranch.connections.settled import Archive
    from anabranch.store.store import Store

_FILE = "connections.sqlite"
_SAID = "shelf.json"


@dataclass
class Storing:
    """Stores what is settled, as archives: exactly once, whatever ends meanwhile."""

    settled: Settled
    naming: Naming
    store: Store
    root: str
    """The folder of archives in the store."""
    folder: Path
    """Where archives are written first."""
    hides_clients: bool
    """Whether netblocks stand in place of clients' addresses."""
    hops: int = 0
    """How many hops it has stored what is known about."""

    def flush(self, age: float, now: float) -> None:
        """Store all that is settled, if something has been since ``age`` seconds.

        Raises:
            OSError: When the store does not take it now; it waits.
            sqlite3.OperationalError: When the disk is full; nothing is lost.
        """
        for archive in self.settled.cut(now - age, now):
            hops = self._put(archive)
            self.settled.forget(archive, now)
            self.hops += hops

    def close(self) -> None:
        """Close the queue's file."""
        self.settled.close()

    def _put(self, archive: Archive) -> int:
        """Store an archive; return how many hops it has."""
        settled, naming = self.settled, self.naming
        file = self.folder / "archive"
        # A kill may have left it, as a link to what the store has.
        file.unlink(missing_ok=True)
        try:
            kept = settled.list_kept(archive)
            if write_traces(kept, archive, naming.version, file):
                name = naming.name(TRACES, archive, "tgz")
                self.store.put_file(f"{self.root}/{name}", file)
            file.unlink()
            told = settled.list_hops(archive)
            if hops := write_hops(told, archive, naming.agent, file):
                name = naming.name(HOPS, archive, "tgz")
                self.store.put_file(f"{self.root}/{name}", file)
            file.unlink()
            outcomes = map(self._hide, settled.list_settled(archive))
            write_connections(outcomes, archive, file)
            name = naming.name(CONNECTIONS, archive, "jsonl.gz")
            self.store.put_file(f"{self.root}/{name}", file)
        finally:
            file.unlink(missing_ok=True)
        return hops

    def _hide(self, settled: dict[str, object]) -> dict[str, object]:
        """Put a client's netblock in place of its address, if that is asked for."""
        client = settled.get("client")
        if client is None or not self.hides_clients:
            return settled
        address: Address = ip_address(str(client))
        return settled | {"client": name_netblock(address), "client_port": None}


@dataclass(frozen=True)
class Shelf:
    """Where an agent's queue is, and where its archives go."""

    connections: Connections
    folder: Path
    """The queue's folder."""
    naming: Naming
    store: Store
    root: str
    """The folder of archives in the store."""

    @property
    def hides_clients(self) -> bool:
        """Whether netblocks stand in place of clients' addresses."""
        return self.connections.anonymize == "netblock"

    @staticmethod
    def read(folder: Path, store: Store) -> Shelf | None:
        """Return what a queue in a folder was opened by last; None if none was."""
        try:
            said = json.loads((folder / _SAID).read_bytes())
        except FileNotFoundError:
            return None
        return Shelf(
            connections=Connections.read(said["connections"]),
            folder=folder,
            naming=Naming(**said["naming"]),
            store=store,
            root=said["root"],
        )

    def open_waiting(self) -> Waiting:
        """Open the queue, or begin one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write()
        terms = Terms(
            cache=self.connections.cache_seconds,
            max_waiting=self.connections.max_waiting,
            max_wait=self.connections.max_wait_seconds,
            excluded=PrefixSet(self.connections.exclude),
            hides_clients=self.hides_clients,
        )
        return Waiting(self.folder / _FILE, terms)

    def open_storing(self) -> Storing:
        """Open what is settled of the queue."""
        connections = self.connections
        return Storing(
            settled=Settled(self.folder / _FILE, connections.cache_seconds),
            naming=self.naming,
            store=self.store,
            root=self.root,
            folder=self.folder,
            hides_clients=self.hides_clients,
        )

    def _write(self) -> None:
        """Say what the queue is opened by, for whoever finds it."""
        said = {
            "connections": self.connections.model_dump(mode="json", by_alias=True),
            "naming": asdict(self.naming),
            "root": self.root,
        }
        draft = self.folder / f"{_SAID}.draft"
        with draft.open("w") as file:
            json.dump(said, file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.folder / _SAID)

    def give_up(self, now: float) -> None:
        """Record what waits as dropped, and store everything that the queue has.

        Raises:
            OSError: When the store does not take it now; it can be tried again.
            sqlite3.OperationalError: When the disk is full.
        """
        if not (self.folder / _FILE).exists():
            return
        with contextlib.closing(self.open_waiting()) as waiting:
            waiting.give_up(now)
        with contextlib.closing(self.open_storing()) as storing:
            storing.flush(0, now)
