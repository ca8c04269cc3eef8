"""Stores: a directory and a bucket can do the same."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.store.directory import DirectoryStore
from anabranch.store.environment import ENDPOINT
from anabranch.store.location import open_location
from anabranch.store.s3 import S3Store
from anabranch.warehouse.embedded import EmbeddedEngine
from devcluster.s3 import S3

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.store import Store
    from devcluster.s3 import S3


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store; in the bucket all tests share, under a key of the test's own."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "it's a store")
    server: S3 = request.getfixturevalue("s3")
    return S3Store(server.bucket, endpoint_url=server.url)


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    """Where the test's keys are."""
    return f"tests/{request.node.name.partition('[')[0]}"


def test_what_is_put_is_there_and_stays(
    store: Store, root: str, tmp_path: Path
) -> None:
    """A second writer of a key is told so, and changes nothing."""
    key = f"{root}/a/b.json"
    assert store.put(key, b"first")
    assert not store.put(key, b"second")
    file = tmp_path / "file"
    file.write_bytes(b"third")
    assert not store.put_file(key, file)
    assert store.get(key) == b"first"
    assert store.put_file(f"{root}/a/c.json", file)
    assert store.fetch(f"{root}/a/c.json", tmp_path).read_bytes() == b"third"
    assert list(store.list(f"{root}/a")) == [f"{root}/a/b.json", f"{root}/a/c.json"]
    assert list(store.list(f"{root}/nothing")) == []


def test_folders_are_told_by_their_names(store: Store, root: str) -> None:
    """Each once, and neither objects nor what is deeper."""
    for key in ("b/1", "a/1", "a/c/2", "object"):
        store.put(f"{root}/{key}", b"")
    assert list(store.folders(root)) == ["a", "b"]
    assert list(store.folders(f"{root}/a")) == ["c"]
    assert list(store.folders(f"{root}/nothing")) == []


def test_a_folder_can_be_removed(store: Store, root: str) -> None:
    """With all that is below it, and nothing beside it; again, it changes nothing."""
    for key in ("a/b/1", "a/b/c/2", "a/b2/3", "a/4"):
        store.put(f"{root}/{key}", b"")
    for _ in range(2):
        store.remove(f"{root}/a/b")
        assert list(store.list(root)) == [f"{root}/a/4", f"{root}/a/b2/3"]
    store.remove(f"{root}/a/b2")
    assert list(store.folders(f"{root}/a")) == []
    store.put(f"{root}/c/d/5", b"")
    store.remove(f"{root}/c/d")
    assert list(store.folders(root)) == ["a"]


def test_objects_are_told_in_the_order_of_their_keys(store: Store, root: str) -> None:
    """With their sizes and times; what is not there has none."""
    begun = datetime.now(UTC)
    names = ["a+b/1", "a-b", "a/2", "a/b/3", "a/b.4", "a0", "b"]
    for name in names:
        store.put(f"{root}/{name}", name.encode())
    found = list(store.scan(root))
    assert [each.key for each in found] == sorted(f"{root}/{name}" for name in names)
    assert [each.key for each in found] == list(store.list(root))
    for each in found:
        assert each.size == len(each.key) - len(root) - 1
        assert abs(each.modified - begun) < timedelta(days=1)
    assert list(store.scan(f"{root}/nothing")) == []


def test_a_stamp_differs_once_an_object_was_replaced(store: Store, root: str) -> None:
    """And not before; what is not there has none."""
    key = f"{root}/list"
    store.put(key, b"first")
    stamp = store.find_stamp(key)
    assert store.find_stamp(key) == stamp
    store.remove(root)
    with pytest.raises(FileNotFoundError, match="list"):
        store.find_stamp(key)
    store.put(key, b"other")
    assert store.find_stamp(key) != stamp


def test_a_bucket_may_hold_a_store_below_a_prefix(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose keys do not tell the prefix."""
    monkeypatch.setenv(ENDPOINT, s3.url)
    whole = S3Store(s3.bucket, endpoint_url=s3.url)
    store = open_location(f"s3://{s3.bucket}/some/where/", os.environ)
    assert str(store) == f"s3://{s3.bucket}/some/where"
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": [7]}), file)
    assert store.put_file("a/b", file)
    assert not store.put("a/b", b"")
    assert store.get("a/b") == whole.get("some/where/a/b") == file.read_bytes()
    assert store.tail("a/b", 4) == b"PAR1"
    assert list(store.list("a")) == ["a/b"]
    store.put("a/c/d", b"")
    assert list(store.folders("a")) == ["c"]
    engine = EmbeddedEngine(max_memory_bytes=1 << 30, max_threads=1)
    rows = engine.read(f"SELECT * FROM {store.read_sql('a/*')}")
    assert rows.to_pylist() == [{"number": 7}]


def test_a_location_that_is_none_is_told(tmp_path: Path) -> None:
    """And not made."""
    with pytest.raises(LookupError, match=r"there is no folder .*/nowhere"):
        open_location(tmp_path / "nowhere", {})
    with pytest.raises(LookupError, match="'s3:///prefix' has no bucket"):
        open_location("s3:///prefix", {})
    assert isinstance(open_location(tmp_path, {}), DirectoryStore)


def test_what_is_not_there_is_told_by_its_key(
    store: Store, root: str, tmp_path: Path
) -> None:
    """As for files."""
    with pytest.raises(FileNotFoundError, match="nothing"):
        store.get(f"{root}/nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        store.fetch(f"{root}/nothing", tmp_path)


def test_of_many_who_put_the_same_key_one_does(store: Store, root: str) -> None:
    """At the same time; what is there is what that one put."""
    outcomes: dict[int, bool] = {}

    def put(number: int) -> None:
        outcomes[number] = store.put(f"{root}/key", b"%d" % number * 100_000)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number, won in outcomes.items() if won]
    assert store.get(f"{root}/key") == b"%d" % winner * 100_000


def test_parquet_objects_are_rows_for_sql(
    store: Store, root: str, tmp_path: Path
) -> None:
    """One of them, or those of some folders."""
    for number in range(3):
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"number": [number, 10 * number]}), file)
        store.put_file(f"{root}/folder{number}/rows.parquet", file)
    engine = EmbeddedEngine(max_memory_bytes=1 << 30, max_threads=1)
    one = store.read_sql(f"{root}/folder2/rows.parquet")
    rows = engine.read(f"SELECT sum(number) AS total FROM {one}")
    assert rows.to_pylist() == [{"total": 22}]
    every = store.read_sql(f"{root}/*/rows.parquet")
    rows = engine.read(f"SELECT sum(number) AS total FROM {every}")
    assert rows.to_pylist() == [{"total": 33}]


def test_a_folder_whose_name_means_more_in_queries_is_refused(tmp_path: Path) -> None:
    """With what is wrong with it."""
    with pytest.raises(OSError, match=r"has \* and \{ in its name"):
        DirectoryStore(tmp_path / "a{b*")


def test_what_can_not_be_listed_is_not_taken_for_empty(tmp_path: Path) -> None:
    """Else a survey could end before its time."""
    store = DirectoryStore(tmp_path)
    store.put("a/b", b"")
    assert list(store.list("a/c")) == []
    with pytest.raises(NotADirectoryError):
        list(store.list("a/b"))


def test_others_may_read_what_is_put(tmp_path: Path) -> None:
    """As they may read files that other programs make."""
    store = DirectoryStore(tmp_path)
    store.put("key", b"")
    assert store.path("key").stat().st_mode & 0o777 == 0o644


@pytest.mark.usefixtures("s3_credentials")
def test_a_gateway_that_is_away_is_an_error_of_the_system() -> None:
    """With the key and the reason."""
    away = S3Store("bucket", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"some/key: S3 can't be reached"):
        away.get("some/key")


def test_a_bucket_may_be_made_by_several_at_once(s3: S3) -> None:
    """Whoever is second finds it there."""
    stores = [S3Store(f"{s3.bucket}-2", endpoint_url=s3.url) for _ in range(8)]
    with ThreadPoolExecutor(len(stores)) as threads:
        list(threads.map(S3Store.create_bucket, stores))
    assert stores[0].put("key", b"")
