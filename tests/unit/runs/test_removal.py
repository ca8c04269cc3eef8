"""A run that goes while it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anabranch.jobs.removal import remove_run
from anabranch.runs.removal import RemovedError, is_going, note_removal, staying
from anabranch.runs.stock import take_stock
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys, SurveyKeys

if TYPE_CHECKING:
    from pathlib import Path

RUN = SurveyKeys("default.demo", "1")
AGENTS = [RunKeys("default.demo", "1", name) for name in ("paris", "tokyo")]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with a run that one of its agents did not begin."""
    store = DirectoryStore(tmp_path)
    store.put(AGENTS[1].run, b"1")
    return store


def test_a_run_that_stays_can_be_read(store: DirectoryStore) -> None:
    """Nothing is said of it."""
    with staying(store, AGENTS):
        pass
    assert not is_going(store, RUN)


def test_errors_of_a_run_that_stays_are_told(store: DirectoryStore) -> None:
    """As they are."""
    with pytest.raises(KeyError), staying(store, AGENTS):
        raise KeyError


def test_who_reads_a_run_is_told_that_it_goes(store: DirectoryStore) -> None:
    """From the note on, and in place of what came of it."""
    told = r"run 1 of default\.demo was removed while it was read"

    def read() -> None:
        with staying(store, AGENTS):
            note_removal(store, RUN)
            raise KeyError

    with pytest.raises(RemovedError, match=told):
        read()
    assert is_going(store, RUN)


def test_who_has_read_a_run_is_told_that_it_has_gone(store: DirectoryStore) -> None:
    """When there is no note any more."""
    (run,) = take_stock(store)
    with pytest.raises(RemovedError), staying(store, AGENTS):
        remove_run(store, None, run)
    assert not is_going(store, RUN)


def test_a_run_that_nobody_began_is_not_there_to_go(tmp_path: Path) -> None:
    """Somebody may ask for what is there all the same."""
    with staying(DirectoryStore(tmp_path), AGENTS):
        pass
