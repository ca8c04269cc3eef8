"""What is known about the addresses that traces met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anabranch.connections.hops import FileAnnotator, SocketAnnotator
from anabranch.store.directory import DirectoryStore
from annotatorsocket import play_annotator

if TYPE_CHECKING:
    from pathlib import Path


def test_uuid_annotator_is_asked_for_many_addresses_at_once(tmp_path: Path) -> None:
    """By the socket that it has."""
    with play_annotator(tmp_path / "socket"):
        told = SocketAnnotator(tmp_path / "socket").annotate(["192.0.2.1", "3fff::1"])
    assert told == {
        "192.0.2.1": {"Network": {"ASName": "192.0.2.1"}},
        "3fff::1": {"Network": {"ASName": "3fff::1"}},
    }


@pytest.mark.parametrize(
    ("status", "content"), [(500, None), (200, b"<html>"), (200, b"[]"), (200, b"")]
)
def test_an_answer_that_makes_no_sense_is_asked_for_again(
    status: int, content: bytes | None, tmp_path: Path
) -> None:
    """As one that does not come."""
    annotator = SocketAnnotator(tmp_path / "socket")
    served = play_annotator(tmp_path / "socket", status, content)
    with served, pytest.raises(OSError, match=str(tmp_path)):
        annotator.annotate(["192.0.2.1"])


def test_a_socket_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    """It may come later."""
    remedy = "No such file or directory; start uuid-annotator, or correct the Agent's"
    with pytest.raises(OSError, match=f"{tmp_path}/socket: {remedy}"):
        SocketAnnotator(tmp_path / "socket").annotate(["192.0.2.1"])


def test_objects_of_the_store_tell_as_mlab_does(tmp_path: Path) -> None:
    """Of several origins, each is a system."""
    store = DirectoryStore(tmp_path / "store")
    lines = "192.0.2.0\t24\t64496\n198.51.100.0\t24\t64496_64497,64498\n"
    store.put("known/pfx2as.txt", lines.encode())
    annotator = FileAnnotator(store, ["known/pfx2as.txt"], tmp_path)
    told = annotator.annotate(["192.0.2.1", "198.51.100.1", "203.0.113.1"])
    missing = {"Missing": True}
    one = {"ASNumber": 64496, "Systems": [{"ASNs": [64496]}]}
    two = {"ASNumber": 64496, "Systems": [{"ASNs": [64496]}, {"ASNs": [64497, 64498]}]}
    assert told == {
        "192.0.2.1": {"Geo": missing, "Network": one},
        "198.51.100.1": {"Geo": missing, "Network": two},
        "203.0.113.1": {"Geo": missing, "Network": missing},
    }


def test_an_object_that_is_not_there_may_come(tmp_path: Path) -> None:
    """Nothing is lost meanwhile: hops are asked about again."""
    store = DirectoryStore(tmp_path / "store")
    annotator = FileAnnotator(store, ["pfx2as.txt"], tmp_path)
    with pytest.raises(OSError, match=r"pfx2as\.txt"):
        annotator.annotate(["192.0.2.1"])
    store.put("pfx2as.txt", b"192.0.2.0\t24\t64496\n")
    told = annotator.annotate(["192.0.2.1"])
    assert told["192.0.2.1"]["Network"]["ASNumber"] == 64496


def test_an_object_that_a_user_replaces_is_read_again(tmp_path: Path) -> None:
    """Within minutes; only then is the store asked, and only what changed is read."""

    class Counting(DirectoryStore):
        looked, read = 0, 0

        def find_stamp(self, key: str) -> str:
            self.looked += 1
            return super().find_stamp(key)

        def fetch(self, key: str, folder: Path) -> Path:
            self.read += 1
            return super().fetch(key, folder)

    store, now = Counting(tmp_path / "store"), 0.0
    store.put("pfx2as.txt", b"192.0.2.0\t24\t64496\n")
    annotator = FileAnnotator(store, ["pfx2as.txt"], tmp_path, lambda: now)

    def find_as() -> int:
        told = annotator.annotate(["192.0.2.1"])
        number: int = told["192.0.2.1"]["Network"]["ASNumber"]
        return number

    assert find_as() == 64496
    now = 599
    (tmp_path / "other").write_bytes(b"192.0.2.0\t24\t64500\n")
    (tmp_path / "other").rename(store.path("pfx2as.txt"))
    assert find_as() == 64496
    assert (store.looked, store.read) == (1, 1)
    now = 600
    assert find_as() == 64500
    now = 1200
    assert find_as() == 64500
    assert (store.looked, store.read) == (3, 2)
