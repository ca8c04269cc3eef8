"""The objects of old cycles leave the store, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from anabranch.jobs.removal import remove_cycles
from anabranch.runs.cycles import CycleEnd, CycleRecord, Ledger
from anabranch.runs.report import RefusedError
from anabranch.store.directory import DirectoryStore

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make_cycles(store: DirectoryStore, count: int) -> Ledger:
    """Cycles with objects, of which all but the last have ended."""
    ledger = Ledger(store, "survey")
    for number in range(1, count + 1):
        ledger.begin(CycleRecord(number=number, scheduled=NOW, measurement="a"))
        for uid in (f"{number}-lost", f"{number}-made"):
            ledger.note(number, uid)
            for key in (f"surveys/{uid}/1/roster.json", f"agents/a/{uid}/1/run.json"):
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
    remove_cycles(store, "survey", [1])
    kept = ["2-lost", "2-made", "3-lost", "3-made"]
    assert [
        f for f in store.folders("surveys") if list(store.list(f"surveys/{f}"))
    ] == kept
    assert list(store.folders("agents/a")) == kept
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
            remove_cycles(store, "survey", [1, number])
    assert list(store.folders("agents/a")) == ["2-lost", "2-made"]
