"""Runs leave a store by the command."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from anabranch.cli import main
from anabranch.local.datalock import lock_data
from anabranch.runs.removal import note_removal
from anabranch.store.directory import DirectoryStore
from anabranch.store.environment import ENDPOINT
from anabranch.store.keys import CycleKeys, RunKeys, SurveyKeys
from anabranch.store.s3 import S3Store

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.s3 import S3


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with runs that ended 100 and 10 days ago, and two that did not end."""
    store = DirectoryStore(tmp_path)
    for uid, days, name in (
        *(("old", 100, "summary"), ("new", 10, "summary")),
        *(("left", 95, "roster"), ("on", 1, "roster")),
    ):
        keys = SurveyKeys(uid, "1")
        put(store, f"{keys.root}/{name}.json", days)
        put(store, RunKeys(uid, "1", "paris").run, days)
    put(store, "shared/list", 300)
    return store


def put(store: DirectoryStore, key: str, days: float) -> None:
    """Puts 1 KiB, as if so many days ago."""
    store.put(key, bytes(1024))
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(store.path(key), (then, then))


def find_left(store: DirectoryStore) -> list[str]:
    """The Measurements that have runs."""
    found = list(store.folders("surveys"))
    assert found == list(store.folders("agents/paris"))
    return found


def purge(store: DirectoryStore, *words: str) -> int:
    """Runs the command."""
    return main(["purge", "--data", str(store.root), *words])


def test_nothing_is_removed_unless_that_is_said(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """But which runs would be, when they ended, what they take, and why."""
    assert purge(store, "--older-than", "90d") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["old", "1"], ["left", "1"]]
    assert lines[1].endswith("2        2.0 KiB  ended 100 days ago")
    assert lines[2].endswith("-                  2        2.0 KiB  still for 95 days")
    assert lines[3:] == [
        "2 runs (4.0 KiB) of 4 runs (8.0 KiB) to be removed",
        "2 runs (4.0 KiB) to stay, of which Surveys keep 0 runs (0 B), and 1 run "
        "(2.0 KiB) not ended",
        "nothing is removed; say --yes to remove them",
    ]
    assert len(find_left(store)) == 4


def test_what_is_too_old_is_removed(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all that it has, and nothing else."""
    assert purge(store, "--older-than", "90d", "--yes") == 0
    assert find_left(store) == ["new", "on"]
    assert list(store.list("shared")) == ["shared/list"]
    told = capsys.readouterr().out
    assert told.endswith("old 1: removed\nleft 1: removed\n")


def test_what_takes_too_much_is_removed(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oldest first; who wants more is told what stays for other reasons."""
    assert purge(store, "--keep-size", "6Ki", "--yes") == 0
    assert find_left(store) == ["left", "new", "on"]
    assert purge(store, "--keep-size", "1Ki", "--yes") == 0
    assert find_left(store) == ["left", "on"]
    assert "what stays is more than 1.0 KiB: a run stays" in capsys.readouterr().out


def test_cycles_of_surveys_stay(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their own retention is for them."""
    put(store, CycleKeys("weekly", 1).measurement("old"), 100)
    assert purge(store, "--older-than", "2d", "--yes") == 0
    assert find_left(store) == ["old", "on"]
    told = capsys.readouterr().out
    assert "of which Surveys keep 1 run (2.0 KiB)" in told


def test_without_limits_it_says_what_there_is(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends what was interrupted."""
    assert purge(store) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "0 runs (0 B) of 4 runs (8.0 KiB) to be removed"
    note_removal(store, SurveyKeys("on", "1"))
    assert purge(store, "--yes") == 0
    assert find_left(store) == ["left", "new", "old"]


def test_a_run_that_goes_on_meanwhile_stays(
    store: DirectoryStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if it stood still for long when the store was read."""
    put_at_once = DirectoryStore.remove

    def remove(self: DirectoryStore, prefix: str) -> None:
        # While the first run is removed, the second one goes on.
        store.put(f"{RunKeys('left', '1', 'paris').root}/later", b"")
        put_at_once(self, prefix)

    monkeypatch.setattr(DirectoryStore, "remove", remove)
    assert purge(store, "--older-than", "90d", "--yes") == 0
    assert find_left(store) == ["left", "new", "on"]
    assert "left 1: stays, since it goes on\n" in capsys.readouterr().out


def test_a_measurement_that_a_process_runs_stays(
    store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others go all the same."""
    with lock_data(store.root, "old"):
        assert purge(store, "--older-than", "90d", "--yes") == 1
    assert find_left(store) == ["new", "old", "on"]
    assert "old 1: another process runs this measurement" in capsys.readouterr().err


def test_a_bucket_is_purged_too(
    s3: S3, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below its prefix."""
    monkeypatch.setenv(ENDPOINT, s3.url)
    store = S3Store(s3.bucket, prefix="some/where", endpoint_url=s3.url)
    for number in range(3):
        store.put(SurveyKeys("uid", f"{number}").summary, bytes(1024))
    other = S3Store(s3.bucket, endpoint_url=s3.url)
    other.put(SurveyKeys("uid", "0").summary, bytes(1024))
    note_removal(store, SurveyKeys("uid", "0"))
    words = ["purge", "--data", f"s3://{s3.bucket}/some/where"]
    assert main([*words, "--keep-size", "1Ki", "--yes"]) == 0
    assert list(store.folders("surveys/uid")) == ["1", "2"]
    assert list(other.folders("surveys/uid")) == ["0"]
    assert "uid 0: removed\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--older-than", "90"), "argument --older-than: '90' is no age; write a"),
        (("--keep-size", "1TB"), "argument --keep-size: '1TB' is no size; write"),
    ],
)
def test_what_is_no_limit_is_told(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, with the remedy."""
    with pytest.raises(SystemExit):
        main(["purge", *words])
    assert capsys.readouterr().err.count(told) == 1


def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not made."""
    assert main(["purge", "--data", str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.startswith("anabranch: there is no folder")
