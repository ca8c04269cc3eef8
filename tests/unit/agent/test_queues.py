"""Queues that no Round is of when the agent starts."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import closing as closed
from typing import TYPE_CHECKING

from anabranch.api.connections import Connections
from anabranch.connections.archive import Naming
from anabranch.connections.storing import Shelf
from anabranch.store.directory import DirectoryStore
from anabranch_agent.config import Times
from anabranch_agent.queues import Queue, Queues
from queues import NOW, add, closing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMES = Times(backoff=0.001, most_backoff=0.001)


class Away(DirectoryStore):
    """A store that is away as often as there is something to do meanwhile."""

    meanwhile: list[Callable[[], None]]

    def put_file(self, key: str, file: Path) -> bool:
        """Puts a file, or does what is to be done first."""
        if self.meanwhile:
            self.meanwhile.pop(0)()
            raise OSError("away")
        return super().put_file(key, file)


def leave(folder: Path) -> tuple[Away, Queues, Queue]:
    """A queue in which a connection waits, as an earlier process left it."""
    store = Away(folder / "store")
    shelf = Shelf(
        connections=Connections(source="kernel", ports=(443,)),
        folder=folder / "scratch" / "queue-uid-1",
        naming=Naming("paris", "web", "1"),
        store=store,
        root="archives",
    )
    with closed(shelf.open_waiting()) as waiting:
        add(waiting, closing("a", "240.0.1.1"))
    queues = Queues(folder / "scratch", store, TIMES, lambda: NOW)
    queue = queues.find_in(shelf.folder)
    assert queue
    return store, queues, queue


def test_what_is_left_is_stored_as_soon_as_the_store_takes_it(tmp_path: Path) -> None:
    """And then its folder goes."""
    store, queues, queue = leave(tmp_path)
    store.meanwhile = [lambda: None, lambda: None]
    asyncio.run(queues.settle_left(queue))
    assert not queue.folder.exists()
    (key,) = store.list("archives")
    (line,) = gzip.decompress(store.get(key)).splitlines()
    told = json.loads(line)
    assert (told["uuid"], told["outcome"], told["reason"]) == (
        *("a", "dropped", "given up"),
    )


def test_what_a_round_comes_for_stays(tmp_path: Path) -> None:
    """What it has is that Round's from then on."""
    store, queues, queue = leave(tmp_path)

    def come() -> None:
        queue.rounds = 1

    store.meanwhile = [come]
    asyncio.run(queues.settle_left(queue))
    assert not list(store.list("archives"))
    assert queue.folder.exists()


def test_what_a_round_comes_for_at_the_last_moment_stays(tmp_path: Path) -> None:
    """Between the end of storing and the removal of its folder."""
    _, _, queue = leave(tmp_path)

    def come() -> None:
        queue.rounds = 1

    asyncio.run(queue.end(come, TIMES))
    assert queue.folder.exists()


def test_a_folder_without_a_queue_only_goes(tmp_path: Path) -> None:
    """A process ended before it opened one."""
    queues = Queues(tmp_path, DirectoryStore(tmp_path / "store"), TIMES, lambda: NOW)
    queue = queues.find_in(tmp_path / "queue-uid-1")
    assert queue
    queue.folder.mkdir()
    asyncio.run(queues.settle_left(queue))
    assert not queue.folder.exists()
    assert queues.find_in(tmp_path / "0d9b8c2e") is None
