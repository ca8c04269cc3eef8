"""The run whose interfaces a local run of the tool aliases compares."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Measurement
from anabranch.api.measurementstatus import Subject
from anabranch.local.assignment import RunError
from anabranch.runs.chain import read_outcomes
from anabranch.runs.finding import find_runs
from anabranch.runs.record import RunRecord
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.subjects import list_interfaces

if TYPE_CHECKING:
    from anabranch_engine import TargetList

    from anabranch.api.manifest import Manifests
    from anabranch.store.store import Store


def find_subject(
    manifests: Manifests, measurement: Measurement, store: Store
) -> tuple[Subject, TargetList] | None:
    """Return the run that a measurement compares, and its interfaces.

    Return None if it is of another tool than aliases.

    Raises:
        RunError: If there is no such run, or it can't be compared, with the remedy.
    """
    namespace, aliases = measurement.metadata.namespace, measurement.spec.aliases
    if aliases is None:
        return None
    named = manifests.find(Measurement, (namespace, aliases.of))
    run_id = named.object.spec.run_id if named else None
    try:
        subject = _choose(store, namespace, aliases.of, run_id)
        with tempfile.TemporaryDirectory() as folder:
            found = list_interfaces(store, open_embedded(), subject, Path(folder))
    except LookupError as error:
        message = f"aliases.of, Measurement {aliases.of!r}: {error}"
        raise RunError(message) from error
    return subject, found


def _choose(store: Store, namespace: str, name: str, run_id: str | None) -> Subject:
    """Return the run of a measurement, if it can be compared.

    Raises:
        LookupError: If it can't, with the remedy.
    """
    try:
        runs = find_runs(store, namespace, name, run_id)
    except LookupError as error:
        raise LookupError(f"{error}; run it first, into the same folder") from error
    for keys in runs:
        record = RunRecord.model_validate_json(store.get(keys.run))
        if record.subject:
            raise LookupError("it is of the tool aliases itself; name one with paths")
        outcomes = list(read_outcomes(store, keys).values())
        if not outcomes or outcomes[-1].next:
            raise LookupError("its run is not complete; run it to its end first")
    return Subject(uid=runs[0].measurement, run_id=runs[0].run_id)
