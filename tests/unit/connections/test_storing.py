"""What of a queue gets into the store, and when."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
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

    from anabranch.connections.waiting import Waiting

NOW = 1_795_953_600.0
SERVER = ip_address("198.18.0.2")
FIRST = ip_address("240.0.0.7")
TEXT = b"text"


def make_shelf(folder: Path, anonymize: str = "none") -> Shelf:
    """A queue beside a store."""
    given = {"source": "kernel", "ports": [443], "anonymize": anonymize}
    return Shelf(
        connections=Connections.read(given),
        folder=folder / "queue",
        naming=Naming(agent="mlab1-lga03", experiment="ndt", version="1"),
        store=DirectoryStore(folder / "store"),
        root="archives",
    )


def fill(waiting: Waiting, clients: int) -> None:
    """Let a connection of each client end, and the first one be traced."""
    ends = [
        Closing(f"u{number}", FIRST + 256 * number, 5000, SERVER, 443, NOW)
        for number in range(clients)
    ]
    waiting.add(ends, (), (), heard_until=NOW, now=NOW)
    ((number, _),) = waiting.begin(1, NOW)
    waiting.end(number, NOW, TEXT, NOW)


def read_outcomes(shelf: Shelf) -> dict[str, tuple[str, str | None]]:
    """The outcome and reason of each connection in the store, by client."""
    found = {}
    for key in shelf.store.list(shelf.root):
        if key.endswith(".jsonl.gz"):
            for line in gzip.decompress(shelf.store.get(key)).splitlines():
                row = json.loads(line)
                assert row["client"] not in found
                found[row["client"]] = (row["outcome"], row["reason"])
    return found


def test_what_waits_when_its_round_goes_is_given_up(tmp_path: Path) -> None:
    """All that there was of the queue is in the store then, once."""
    shelf = make_shelf(tmp_path)
    with closing(shelf.open().waiting) as waiting:
        fill(waiting, 3)
    for _ in range(2):
        shelf.give_up(NOW + 1)
    assert read_outcomes(shelf) == {
        "240.0.0.7": ("traced", None),
        "240.0.1.7": ("dropped", "given up"),
        "240.0.2.7": ("dropped", "given up"),
    }
    with closing(shelf.open().waiting) as waiting:
        assert waiting.counts.waiting == 0


def test_a_store_that_is_away_can_be_tried_again(tmp_path: Path) -> None:
    """What is given up stays so, and nothing is stored twice."""
    shelf = make_shelf(tmp_path, anonymize="netblock")
    with closing(shelf.open().waiting) as waiting:
        fill(waiting, 2)
    place = tmp_path / "store"
    place.write_text("in the way")
    with pytest.raises(NotADirectoryError):
        shelf.give_up(NOW + 1)
    place.unlink()
    shelf.give_up(NOW + 2)
    assert read_outcomes(shelf) == {
        "240.0.0.0": ("traced", None),
        "240.0.1.0": ("dropped", "given up"),
    }


def test_a_queue_that_never_was_is_not_made(tmp_path: Path) -> None:
    """Of a Round that goes before it is served."""
    shelf = make_shelf(tmp_path)
    shelf.give_up(NOW)
    assert not shelf.folder.exists()
    assert not list(shelf.store.list(shelf.root))


def test_what_is_stored_takes_no_space(tmp_path: Path) -> None:
    """By its size agents see whether too much waits for the store."""
    shelf = make_shelf(tmp_path)
    storing = shelf.open()
    with closing(storing.waiting) as waiting:
        empty = waiting.find_size()
        fill(waiting, 2000)
        full = waiting.find_size()
        assert full > empty + 100_000
        waiting.give_up(NOW)
        storing.flush(0, NOW + 10_000)
        assert waiting.find_size() < empty + 10_000
