"""The note that a run is to go. Whoever finds one takes the run for gone.

It is put before the first object goes, and goes after the last one. So a removal that a
crash cuts short leaves nothing that looks like a run, and says that it is to go on.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from anabranch.store.keys import REMOVALS, SurveyKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store


class RemovedError(RuntimeError):
    """A run went while it was read; what was read may be a part of it."""


def note_removal(store: Store, keys: SurveyKeys) -> None:
    """Put the note that a run is to go."""
    store.put(_note(keys), b"{}\n")


def forget_removal(store: Store, keys: SurveyKeys) -> None:
    """Remove the note, once the run has no object any more."""
    store.remove(keys.removal)


def find_removals(store: Store) -> Iterator[SurveyKeys]:
    """Yield the runs that are to go."""
    for key in store.list(REMOVALS):
        match key.split("/"):
            case [_, measurement, run_id, _]:
                yield SurveyKeys(measurement, run_id)
            case _:
                pass


def is_going(store: Store, keys: SurveyKeys) -> bool:
    """Return whether a run is to go."""
    return _holds(store, _note(keys))


@contextmanager
def staying(store: Store, runs: Iterable[RunKeys]) -> Iterator[None]:
    """Ensure that a run is still there when all agents' parts of it were read.

    Raises:
        RemovedError: When it is not, in place of whatever went wrong.
    """
    first = next((run for run in runs if _holds(store, run.run)), None)
    try:
        yield
    finally:
        # In this order: a removal that has begun since has its note or has no record.
        if first and (
            is_going(store, SurveyKeys(first.measurement, first.run_id))
            or not _holds(store, first.run)
        ):
            raise RemovedError(
                f"run {first.run_id} of {first.measurement} was removed while it was "
                "read; copy what has to outlive retention, or keep runs for longer"
            )


def _note(keys: SurveyKeys) -> str:
    return f"{keys.removal}/begun.json"


def _holds(store: Store, key: str) -> bool:
    try:
        store.tail(key, 1)
    except FileNotFoundError:
        return False
    return True
