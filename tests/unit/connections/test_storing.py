"""Archives on their way to the store."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from contextlib import closing as closed
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from anabranch.api.connections import Connections
from anabranch.connections import settled
from anabranch.connections.archive import Naming
from anabranch.connections.storing import Shelf
from anabranch.connections.waiting import Traced
from anabranch.store.directory import DirectoryStore
from queues import NOW, add, begin, closing

if TYPE_CHECKING:
    from pathlib import Path


class KilledError(BaseException):
    """The end of a process."""


@pytest.mark.parametrize("puts", [1, 2])
def test_a_kill_behind_any_upload_damages_nothing(puts: int, tmp_path: Path) -> None:
    """The next process writes its files elsewhere than into stored ones."""
    store = DirectoryStore(tmp_path / "store")
    put, left = store.put_file, puts

    def put_and_die(key: str, file: Path) -> bool:
        nonlocal left
        left -= 1
        put(key, file)
        if not left:
            (tmp_path / "left").hardlink_to(file)
            raise KilledError
        return True

    shelf = Shelf(
        connections=Connections(source="kernel", ports=(443,)),
        folder=tmp_path / "queue",
        naming=Naming("paris", "web", "1"),
        store=store,
        root="archives",
    )
    waiting, storing = shelf.open_waiting(), shelf.open_storing()
    add(waiting, closing("a", "240.0.1.1"))
    (number,) = begin(waiting).values()
    waiting.end(number, Traced(NOW, b"{}\n" * 3), NOW)
    store.put_file = put_and_die  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        storing.flush(0, NOW)
    waiting.close()
    storing.close()
    store.put_file = put  # type: ignore[method-assign]
    (tmp_path / "left").rename(tmp_path / "queue" / "archive")
    storing = shelf.open_storing()
    storing.flush(0, NOW)
    storing.close()
    keys = list(store.list("archives"))
    assert [key.split("/")[1] for key in keys] == ["connections", "scamper1"]
    lines = gzip.decompress(store.get(keys[0])).splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["traced"]
    assert b"a.jsonl" in gzip.decompress(store.get(keys[1]))


def test_who_finds_a_queue_learns_where_it_goes(tmp_path: Path) -> None:
    """Of the last one that opened it."""
    store = DirectoryStore(tmp_path / "store")
    assert Shelf.read(tmp_path, store) is None
    shelf = Shelf(
        connections=Connections(source="kernel", ports=(443,), anonymize="netblock"),
        folder=tmp_path,
        naming=Naming("paris", "web", "1"),
        store=store,
        root="archives",
    )
    for each in (shelf, replace(shelf, root="others")):
        each.open_waiting().close()
        assert Shelf.read(tmp_path, store) == each


@pytest.mark.parametrize("pauses", range(12))
def test_a_kill_between_any_two_changes_stores_all_once(
    pauses: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rows are changed in several transactions, as others need their turns."""
    store, clients = DirectoryStore(tmp_path / "store"), range(7)
    shelf = Shelf(
        connections=Connections(source="kernel", ports=(443,)),
        folder=tmp_path / "queue",
        naming=Naming("paris", "web", "1"),
        store=store,
        root="archives",
    )
    with closed(shelf.open_waiting()) as waiting:
        add(waiting, *(closing(f"{k}", f"240.0.{k}.1") for k in clients))
        for k, number in enumerate(begin(waiting).values()):
            waiting.end(number, Traced(NOW, b"{}\n" * 3, hops=[f"255.0.0.{k}"]), NOW)
    left = pauses

    def die(_: float) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError

    monkeypatch.setattr(settled, "_MOST_ROWS", 2)
    monkeypatch.setattr(time, "sleep", die)
    with closed(shelf.open_storing()) as storing:
        hops = storing.settled.list_unknown(10)
        storing.settled.tell((hop, "{}") for hop in hops)
        with suppress(KilledError):
            storing.flush(0, NOW)
    left = 1000
    with closed(shelf.open_storing()) as storing:
        storing.flush(0, NOW + 1)
    kinds = {key.split("/")[1]: store.get(key) for key in store.list("archives")}
    assert len(kinds) == len(list(store.list("archives"))) == 3
    lines = gzip.decompress(kinds["connections"]).splitlines()
    assert [json.loads(line)["uuid"] for line in lines] == [f"{k}" for k in clients]
    for kind in ("scamper1", "hopannotation1"):
        with tarfile.open(fileobj=io.BytesIO(kinds[kind])) as tar:
            assert len(tar.getnames()) == len(clients)
