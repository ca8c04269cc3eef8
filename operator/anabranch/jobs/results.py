"""The results job: what all agents of a run found, as tables and in other formats."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from anabranch_engine import Annotations

from anabranch.jobs.outputs import put_outputs
from anabranch.runs.report import Findings
from anabranch.runs.roster import Roster
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.warehouse.annotation import Annotator
from anabranch.warehouse.damage import check_whole, naming_damage
from anabranch.warehouse.results import NothingYetError, Results

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anabranch.api.annotation import AnnotationSource
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine
    from anabranch.warehouse.environment import Warehouse


def gather(
    store: Store,
    warehouse: Warehouse,
    keys: SurveyKeys,
    agents: list[str],
    scratch: Path,
) -> Findings:
    """Store tables of what the agents found, and a summary; return the summary.

    Raises:
        DamagedError: When an object can't be used or is missing.
    """
    runs = [RunKeys(keys.measurement, keys.run_id, agent) for agent in agents]
    check_whole(store, runs)
    with naming_damage(store, runs):
        return _gather(store, warehouse, keys, runs, scratch)


def _gather(
    store: Store,
    warehouse: Warehouse,
    keys: SurveyKeys,
    runs: list[RunKeys],
    scratch: Path,
) -> Findings:
    roster = Roster.model_validate_json(store.get(keys.roster))
    spec = roster.measurement.spec
    annotator, not_annotated = None, ""
    try:
        files = _fetch_known(store, keys, spec.annotate_from, scratch)
        annotator = _open_annotator(files, warehouse, scratch)
    except ValueError as error:
        # What agents found is worth more than what is known about it.
        not_annotated = str(error)
    results = Results(store, warehouse.engine, runs, scratch, store, annotator)
    tables = []
    for table in results.tables:
        file = scratch / f"{table}.parquet"
        # If nobody found anything, there is no table.
        with suppress(NothingYetError):
            results.write(table, "parquet", file)
            store.put_file(keys.table(table), file)
            tables.append(table)
    if warehouse.tables:
        for run in runs:
            warehouse.tables.prepare(run)
            if not roster.subject:  # Those are of other targets than the run's.
                warehouse.tables.load_diamonds(store, run)
        warehouse.tables.load_routers(store, keys)
    outputs = []
    if spec.outputs:
        local = replace(results, engine=_open_local(warehouse))
        outputs = put_outputs(local, keys, spec.outputs)
    findings = Findings(
        **results.count(),
        tables=tuple(tables),
        outputs=tuple(outputs),
        not_annotated=not_annotated,
    )
    store.put(keys.summary, json.dumps(asdict(findings), indent=1).encode())
    return findings


def _fetch_known(
    store: Store, keys: SurveyKeys, sources: Iterable[AnnotationSource], scratch: Path
) -> dict[str, Path]:
    """Fetch what sources say about addresses; return the files by what users call them.

    Raises:
        ValueError: If one of them is missing.
    """
    files = {}
    for number, source in enumerate(sources):
        if source.object:
            name = key = source.object.key
            missing = f"there is no object {key!r} in the store; put it there"
        elif wanted := source.config_map:
            key = keys.annotation(number)
            name = f"ConfigMap {wanted.name}, key {wanted.key}"
            missing = f"there is no {name} in the namespace; add it, and run again"
        try:
            files[name] = store.fetch(key, scratch)
        except FileNotFoundError as error:
            raise ValueError(missing) from error
    return files


def _open_annotator(
    files: dict[str, Path], warehouse: Warehouse, scratch: Path
) -> Annotator | None:
    """Open what annotates tables, if there are files.

    Raises:
        ValueError: If one of them can't be used.
    """
    if not files:
        return None
    try:
        known = Annotations(files.values())
    except ValueError as error:
        message = str(error)
        for name, file in files.items():
            message = message.replace(str(file), name)
        raise ValueError(message) from error
    return Annotator(known, _open_local(warehouse), scratch)


def _open_local(warehouse: Warehouse) -> Engine:
    """Return an engine that reads files of this process's machine."""
    if warehouse.tables is None:
        return warehouse.engine
    from anabranch.warehouse.embedded import open_embedded  # noqa: PLC0415 (memory)

    return open_embedded()
