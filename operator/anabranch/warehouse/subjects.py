"""The run whose interfaces another one compares, with the tool aliases."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from anabranch_engine import TargetList

from anabranch.runs.finding import find_parts
from anabranch.warehouse.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.api.measurementstatus import Subject
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine

_MAX_TTL = 64
"""The TTL of echo requests, as far as agents may go."""


def list_interfaces(
    store: Store, engine: Engine, subject: Subject, scratch: Path
) -> TargetList:
    """Return the interfaces that a run has found, as a list of targets to ping.

    Raises:
        LookupError: If there is no such run, or it has found none.
    """
    runs = find_parts(store, subject.uid, subject.run_id)
    results = Results(store, engine, runs, scratch, store)
    query = f"SELECT DISTINCT addr FROM ({results.select('interfaces')}) ORDER BY addr"
    lines = (
        f"{address},{'icmp6' if ':' in address else 'icmp'},1,{_MAX_TTL},1\n"
        for address in map(str, engine.read(query)["addr"].to_pylist())
    )
    return TargetList.read(io.BytesIO("".join(lines).encode()))
