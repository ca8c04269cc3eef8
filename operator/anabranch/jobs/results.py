"""The results job: what all agents of a run found, as tables."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from anabranch.runs.report import Findings
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.warehouse.damage import check_whole, naming_damage
from anabranch.warehouse.results import NothingYetError, Results

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.store import Store
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
    results = Results(store, warehouse.engine, runs, scratch, store)
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
            warehouse.tables.load_diamonds(store, run)
    findings = Findings(**results.count(), tables=tuple(tables))
    store.put(keys.summary, json.dumps(asdict(findings), indent=1).encode())
    return findings
