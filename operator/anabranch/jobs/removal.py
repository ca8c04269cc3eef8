"""The removal job: the objects of old cycles leave the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.runs.cycles import Ledger
from anabranch.runs.report import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.store.store import Store


def remove_cycles(store: Store, survey: str, numbers: Iterable[int]) -> None:
    """Remove the objects of a survey's cycles, and note that they are removed.

    The records of the cycles stay, so that no number is used twice.

    Raises:
        RefusedError: When a cycle has not ended.
        OSError: When the store can't be reached.
    """
    ledger = Ledger.read(store, survey)
    for number in numbers:
        if not ledger.has_ended(number):
            raise RefusedError(f"cycle {number} has not ended, so its objects stay")
        for uid in sorted(ledger.measurements.get(number, ())):
            _remove_measurement(store, uid)
        ledger.note_removal(number)


def _remove_measurement(store: Store, uid: str) -> None:
    # Without its roster, nobody finds a run that is removed in part.
    store.remove(f"surveys/{uid}")
    for agent in list(store.folders("agents")):
        store.remove(f"agents/{agent}/{uid}")
