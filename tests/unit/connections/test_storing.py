"""Archives on their way to the store."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from anabranch.api.connections import Connections
from anabranch.connections.archive import Naming
from anabranch.connections.closing import Closing
from anabranch.connections.storing import Shelf
from anabranch.store.directory import DirectoryStore

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_953_600.0


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
    client = ip_address("240.0.1.1")
    closing = Closing("a", client, 5000, ip_address("198.18.0.2"), 443, NOW)
    waiting.add([closing], [], heard_until=NOW, now=NOW)
    ((number, _),) = waiting.begin(1, NOW)
    waiting.end(number, NOW, b"{}\n" * 3, NOW)
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
