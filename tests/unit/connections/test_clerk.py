"""What annotates and stores: what it does at its end, and what it counts."""

from __future__ import annotations

from contextlib import closing as closed
from typing import TYPE_CHECKING

from anabranch.api.connections import Connections
from anabranch.connections.archive import Naming
from anabranch.connections.clerk import Clerk
from anabranch.connections.counts import Counts
from anabranch.connections.hops import FileAnnotator
from anabranch.connections.storing import Shelf
from anabranch.connections.waiting import Traced
from anabranch.store.directory import DirectoryStore
from queues import NOW, add, begin, closing

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.connections.waiting import Waiting

KNOWN = "pfx2as.txt"


def work(shelf: Shelf, at: float) -> tuple[str, Counts]:
    """What troubles a clerk that annotates and stores once, and what it counts."""
    annotator = FileAnnotator(shelf.store, [KNOWN], shelf.folder)
    clerk = Clerk(shelf.open_storing(), 3600, annotator, Counts(), lambda: NOW + at)
    clerk.stop()
    clerk.run()
    return clerk.annotator_trouble, clerk.counts


def trace(waiting: Waiting, client: str, *hops: str) -> None:
    """Trace the client of a connection, and meet hops."""
    add(waiting, closing(client, client))
    (number,) = begin(waiting).values()
    waiting.end(number, Traced(NOW, b"{}\n" * 3, hops=hops), NOW)


def test_hops_are_counted_once_a_day_when_met_told_and_stored(tmp_path: Path) -> None:
    """Those that nobody tells about are told later, and each error counts."""
    store = DirectoryStore(tmp_path / "store")
    shelf = Shelf(
        connections=Connections(source="kernel", ports=(443,)),
        folder=tmp_path / "queue",
        naming=Naming("paris", "web", "1"),
        store=store,
        root="archives",
    )
    with closed(shelf.open_waiting()) as waiting:
        trace(waiting, "240.0.1.1", "255.0.0.1", "255.0.0.2")
        trace(waiting, "240.0.2.1", "255.0.0.1")
        assert waiting.counts.hops_met == 2
        trouble, counts = work(shelf, 1)
        assert KNOWN in trouble
        assert (counts.hops_told, counts.hops_stored) == (0, 0)
        assert counts.annotator_errors == 1
        store.put(KNOWN, b"255.0.0.0\t8\t64496\n")
        trouble, counts = work(shelf, 2)
        assert not trouble
        assert (counts.hops_told, counts.hops_stored) == (2, 2)
        assert counts.annotator_errors == 0
    kinds = [key.split("/")[1] for key in store.list("archives")]
    assert kinds == ["connections", "connections", "hopannotation1", "scamper1"]
