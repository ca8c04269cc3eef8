"""Runs leave the store: those of old cycles, and those that retention chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.runs.cycles import Ledger
from anabranch.runs.removal import forget_removal, note_removal
from anabranch.runs.report import RefusedError
from anabranch.runs.stock import StoredRun
from anabranch.store.keys import AGENTS, SURVEYS, RunKeys, SurveyKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anabranch.store.store import Store
    from anabranch.warehouse.tables import Tables


def remove_run(store: Store, tables: Tables | None, run: StoredRun) -> None:
    """Remove a run: its rows in the tables, if there are any, and all of its objects.

    A removal that ends halfway is done again, since a note says so.

    Raises:
        OSError: When the store can't be reached.
        ServerAwayError: When the server of the tables can't.
        QueryError: When the server refuses it.
    """
    note_removal(store, run.keys)
    if tables:
        tables.drop(run.keys, run.agents)
    for folder in run.folders:
        store.remove(folder)
    forget_removal(store, run.keys)


def remove_cycles(
    store: Store, tables: Tables | None, survey: str, numbers: Iterable[int]
) -> None:
    """Remove the runs of a survey's cycles, and note that they are removed.

    The records of the cycles stay, so that no number is used twice.

    Raises:
        RefusedError: When a cycle has not ended.
        OSError: When the store can't be reached.
        ServerAwayError: When the server of the tables can't.
        QueryError: When the server refuses it.
    """
    ledger = Ledger.read(store, survey)
    for number in numbers:
        if not ledger.has_ended(number):
            raise RefusedError(f"cycle {number} has not ended, so its objects stay")
        for uid in sorted(ledger.measurements.get(number, ())):
            for run in _find_runs(store, uid):
                remove_run(store, tables, run)
        ledger.note_removal(number)


def _find_runs(store: Store, uid: str) -> Iterator[StoredRun]:
    """Yield a Measurement's runs, with the folders of their objects alone."""
    found: dict[SurveyKeys, list[str]] = {}
    for agent in store.folders(AGENTS):
        for run_id in store.folders(f"{AGENTS}/{agent}/{uid}"):
            folders = found.setdefault(SurveyKeys(uid, run_id), [])
            folders.append(RunKeys(uid, run_id, agent).root)
    for name in store.folders(f"{SURVEYS}/{uid}"):
        run_id, plus, part = name.partition("+")
        folders = found.setdefault(SurveyKeys(uid, run_id), [])
        folders.append(SurveyKeys(uid, run_id, plus + part).root)
    for keys, folders in found.items():
        yield StoredRun(keys, tuple(folders))
