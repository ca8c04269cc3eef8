"""Runs leave the store whole, and no others do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.jobs.removal import remove_cycles, remove_run
from anabranch.runs.cycles import CycleEnd, CycleRecord, Ledger
from anabranch.runs.finding import find_runs
from anabranch.runs.report import RefusedError
from anabranch.runs.retention import Retention, choose
from anabranch.runs.stock import StoredRun, take_stock
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys, SurveyKeys
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.store import Store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make_cycles(store: DirectoryStore, count: int) -> Ledger:
    """Cycles with objects, of which all but the last have ended."""
    ledger = Ledger(store, "survey")
    for number in range(1, count + 1):
        ledger.begin(CycleRecord(number=number, scheduled=NOW, measurement="a"))
        for uid in (f"{number}-lost", f"{number}-made"):
            ledger.note(number, uid)
            for key in (
                f"surveys/{uid}/1/roster.json",
                f"surveys/{uid}/1+dry2/roster.json",
                f"agents/a/{uid}/1/run.json",
            ):
                store.put(key, b"")
        if number < count:
            end = CycleEnd(
                number=number, ended=NOW, succeeded=True, reason="Completed", message=""
            )
            ledger.conclude(end)
    return ledger


def test_all_measurements_of_a_cycle_go(tmp_path: Path) -> None:
    """Those that were lost, too. Records and ends stay, and the rest of the store."""
    store = DirectoryStore(tmp_path)
    make_cycles(store, 3)
    store.put("shared/list", b"")
    remove_cycles(store, None, "survey", [1])
    kept = ["2-lost", "2-made", "3-lost", "3-made"]
    assert list(store.folders("surveys")) == kept
    assert list(store.folders("agents/a")) == kept
    assert list(store.list("removals")) == []
    assert store.get("shared/list") == b""
    ledger = Ledger.read(store, "survey")
    assert (ledger.newest, ledger.open, ledger.kept) == (3, {3}, {2})
    assert ledger.get_end(1).succeeded


def test_a_cycle_that_has_not_ended_is_not_touched(tmp_path: Path) -> None:
    """Nor one that never began; what comes before it in the list is done."""
    store = DirectoryStore(tmp_path)
    make_cycles(store, 2)
    for number in (2, 3):
        with pytest.raises(RefusedError, match=f"cycle {number} has not ended"):
            remove_cycles(store, None, "survey", [1, number])
    assert list(store.folders("agents/a")) == ["2-lost", "2-made"]


class CrashError(BaseException):
    """The end of the process; nobody may catch it."""


@dataclass
class CrashingStore:
    """A store at which the process ends once it has written so many objects."""

    store: Any
    left: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def _write(self) -> None:
        if self.left == 0:
            raise CrashError
        self.left -= 1

    def put(self, key: str, content: bytes) -> bool:
        """Puts an object, perhaps."""
        self._write()
        return bool(self.store.put(key, content))

    def remove(self, prefix: str) -> None:
        """Removes a folder, perhaps; of files perhaps some."""
        if isinstance(self.store, DirectoryStore):
            for key in list(self.store.list(prefix)):
                self._write()
                self.store.path(key).unlink()
        self._write()
        self.store.remove(prefix)


def put_local(store: Store, name: str) -> list[str]:
    """Puts a run of two agents as a local run does; its keys."""
    keys = [RunKeys(f"default.{name}", "1", agent) for agent in AGENTS]
    objects = [each.run for each in keys]
    objects += [f"{each.root}/001-00/replies/00000/{n}" for each in keys for n in "12"]
    for key in objects:
        store.put(key, b"1")
    return objects


def put_clusters(store: Any, name: str, scratch: Path) -> list[str]:
    """Puts a run of two agents as a cluster does; its keys."""
    run = JobRun(store, scratch, name)
    run.start()
    objects = [run.keys.table("links"), run.keys.summary, f"{run.keys.root}+dry3/x"]
    objects += [run.agent_keys(agent).run for agent in AGENTS]
    for key in objects:
        store.put(key, b"1")
    return [run.keys.roster, *objects]


def is_found(store: Store, name: str) -> bool:
    """Whether a reader finds a run."""
    try:
        return len(find_runs(store, "default", name, None)) == len(AGENTS)
    except LookupError:
        return False


@pytest.mark.parametrize("of", ["cluster", "machine"])
def test_a_removal_may_end_anywhere(store: Store, of: str, tmp_path: Path) -> None:
    """Then a reader finds the run whole or not at all, and the next one ends it."""
    other = put_local(store, "other")
    keys = SurveyKeys("gone" if of == "cluster" else "default.gone", "1")
    for writes in range(100):
        if of == "cluster":
            objects = put_clusters(store, "gone", tmp_path)
        else:
            objects = put_local(store, "gone")
        (run,) = (each for each in take_stock(store) if each.keys == keys)
        try:
            remove_run(CrashingStore(store, writes), None, run)
            break
        except CrashError:
            there = find_all(store)
            is_whole = there == {*objects, *other}
            assert is_found(store, "gone") is is_whole
            going = list(choose(take_stock(store), Retention(), NOW))
            is_over = is_whole or there == set(other)
            assert [each.run.keys for each in going] == ([] if is_over else [keys])
            for each in going:
                remove_run(store, None, each.run)
                assert find_all(store) == set(other)
        assert is_found(store, "other")
    assert writes > len(run.folders)
    assert find_all(store) == set(other)


def find_all(store: Store) -> set[str]:
    """The keys of all objects."""
    return {key for top in ("agents", "surveys", "removals") for key in store.list(top)}


def test_an_empty_run_is_removed(store: Store) -> None:
    """Of one whose removal ended before its note went, that is all there is."""
    remove_run(store, None, StoredRun(SurveyKeys("uid", "1")))
    assert find_all(store) == set()
