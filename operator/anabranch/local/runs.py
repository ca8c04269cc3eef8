"""Runs that are kept on this machine."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys
from anabranch.warehouse.annotation import Annotator
from anabranch.warehouse.damage import check_whole, naming_damage
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch_engine import Annotations


def find_runs(
    data: Path, namespace: str, measurement: str, run_id: str | None
) -> list[RunKeys]:
    """Find each agent's part of a measurement's run.

    Raises:
        LookupError: When there is no such run, or when ``run_id`` is None and there are
            several runs.
    """
    uid = f"{namespace}.{measurement}"
    found = sorted(data.glob(f"agents/*/{uid}/*/run.json"))
    runs = [
        RunKeys(uid, file.parent.name, file.parents[2].name)
        for file in found
        if run_id in {None, file.parent.name}
    ]
    ids = sorted({run.run_id for run in runs})
    if not runs and found:
        there = ", ".join(sorted({file.parent.name for file in found}))
        raise LookupError(f"{uid} has no run {run_id!r} in {data}, only {there}")
    if not runs:
        known = sorted(
            {file.parents[1].name for file in data.glob("agents/*/*/*/run.json")}
        )
        raise LookupError(
            f"there is no run of {uid} in {data}, only of: {', '.join(known) or 'none'}"
        )
    if len(ids) > 1:
        raise LookupError(f"{uid} has the runs {', '.join(ids)}; choose with --run-id")
    return runs


@contextmanager
def open_results(
    data: Path, runs: list[RunKeys], known: Annotations | None = None
) -> Iterator[Results]:
    """Open the results of a run; ``known`` annotates the addresses of its tables.

    Raises:
        DamagedError: When an object of the run is missing or can't be used. The body of
            the ``with`` statement may raise it too.
    """
    store = DirectoryStore(data)
    check_whole(store, runs)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        # Keep diamonds in the scratch folder: they change while the run goes on.
        found = DirectoryStore(scratch)
        engine = open_embedded()
        annotator = Annotator(known, engine, scratch) if known else None
        with naming_damage(store, runs):
            yield Results(store, engine, runs, scratch, found, annotator)
