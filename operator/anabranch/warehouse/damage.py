"""Find the damaged object of a run: its key, what is wrong with it, and the remedy.

SQL reads many objects at once, and its errors do not tell which of them is damaged. So
when work on a run fails, this module examines the run's objects one by one. As long as
nothing fails, that costs nothing.
"""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.rounds.outcome import Outcome, PlanSummary
from anabranch.rounds.shortfall import TargetCounts
from anabranch.runs.chain import read_outcomes
from anabranch.runs.record import RunRecord
from anabranch.runs.report import RefusedError
from anabranch.warehouse.engine import QueryError
from anabranch.warehouse.parts import (
    count_parts,
    find_blocks,
    read_columns,
    read_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from anabranch.rounds.steps import Step
    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store

_PLAN = {"block", "prefix_index", "prefix", "prefix_len", "protocol", "flow_count"}
_COLUMNS = {
    "targets.parquet": _PLAN,
    "*/plan.parquet": _PLAN,
    "*/replies/*/*.parquet": {"prefix_index", "flow", "probe_ttl", "reply_src_addr"},
    "*/prefixes/*.parquet": {"prefix_index", "has_amplification", "has_loops"},
    "*/links/*.parquet": {"prefix_index", "near_ttl", "near_addr", "far_addr"},
    "diamonds/*.parquet": {"prefix_index", "divergence_ttl", "convergence_ttl"},
}
"""Columns that Parquet objects must have, by their keys in a run."""
_TEXTS: dict[str, Callable[[str], object]] = {
    "run.json": RunRecord.model_validate_json,
    "targets.json": lambda text: TargetCounts(**json.loads(text)),
    "*/plan.json": lambda text: PlanSummary(**json.loads(text)),
    "*/outcome.json": lambda text: Outcome(**json.loads(text)),
}
"""The readers of JSON objects, by their keys in a run."""
_SYMPTOMS = (QueryError, FileNotFoundError, ValueError, KeyError, TypeError)
"""The errors that damaged or missing objects cause."""
_MADE_ANEW = ("*/prefixes/*", "*/links/*", "*/outcome.json")
"""The objects that a round job can make again from the others."""


class DamagedError(RefusedError):
    """An object is damaged or missing; the message names it and the remedy."""


@contextmanager
def naming_damage(store: Store, runs: Iterable[RunKeys]) -> Iterator[None]:
    """Name the damaged object if work on some runs fails.

    Raises:
        DamagedError: In place of the original error, if an object is damaged.
    """
    try:
        yield
    except DamagedError:
        raise
    except _SYMPTOMS as error:
        for run in runs:
            if damage := find_damage(store, run):
                raise DamagedError(damage) from error
        raise


def check_whole(store: Store, runs: Iterable[RunKeys]) -> None:
    """Check that the concluded steps of some runs are complete.

    Raises:
        DamagedError: If an object is damaged or missing, with its key and the remedy.
    """
    for run in runs:
        with naming_damage(store, [run]):
            for step, outcome in read_outcomes(store, run).items():
                if missing := _find_missing(store, run, step, outcome):
                    raise DamagedError(missing)


def find_damage(store: Store, run: RunKeys) -> str | None:
    """Return which object of a run is damaged first, how, and the remedy; else None."""
    there = set(store.list(run.root))
    for key in (run.run, run.targets):
        if key not in there:
            return f"{key} is missing; {_mend(run, key)}"
    for key in sorted(there):
        if reason := _examine(store, key, key.removeprefix(f"{run.root}/")):
            return f"{key} {reason}; {_mend(run, key)}"
    return None


def _examine(store: Store, key: str, name: str) -> str | None:
    """Return what is wrong with an object, or None if nothing is."""
    for pattern, read in _TEXTS.items():
        if fnmatchcase(name, pattern):
            try:
                read(store.get(key).decode())
            except (ValueError, TypeError) as error:
                return f"is not what was written ({_first_line(error)})"
    for pattern, columns in _COLUMNS.items():
        if fnmatchcase(name, pattern):
            return _examine_rows(store.get(key), columns)
    return None


def _examine_rows(content: bytes, columns: set[str]) -> str | None:
    if not content:
        return "is empty"
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if missing := columns - set(file.schema_arrow.names):
            return _tell_columns(missing)
        for batch in file.iter_batches():
            batch.validate()
    except (pa.ArrowException, OSError) as error:
        return f"is damaged or cut off ({_first_line(error)})"
    return None


def _tell_columns(missing: set[str]) -> str:
    return f"has other columns: {', '.join(sorted(missing))} are not there"


def _find_missing(
    store: Store, run: RunKeys, step: Step, outcome: Outcome
) -> str | None:
    """Return what a concluded step lacks: reply parts, or what was made of them."""
    keys = run.step(step)
    blocks = find_blocks(store, keys)
    counted = count_parts(store, keys)
    # A second agent may have put parts since; they do not count.
    if counted.probes < outcome.probes or counted.replies < outcome.replies:
        gap = _find_gap(store, keys.replies)
        return (
            f"{gap or f'the last of {keys.replies}'} is missing: the parts there have "
            f"{counted.replies:,} of {outcome.replies:,} replies; "
            f"{_mend(run, keys.replies)}"
        )
    for kind in ("prefixes", "links"):
        folder = f"{keys.root}/{kind}"
        there = {key.rpartition("/")[2] for key in store.list(folder)}
        for block in blocks:
            pieces = sum(name.startswith(f"{block:05}-") for name in there)
            if not pieces and counted.probes > outcome.probes:
                continue  # Its parts came after the step was concluded.
            wanted = [f"{block:05}-{piece:03}.parquet" for piece in range(pieces or 1)]
            for name in wanted:
                key = f"{folder}/{name}"
                if name not in there:
                    return f"{key} is missing; {_mend(run, key)}"
                # SQL reads a missing column as zeros.
                names = set(read_columns(store, key))
                if missing := _COLUMNS[f"*/{kind}/*.parquet"] - names:
                    return f"{key} {_tell_columns(missing)}; {_mend(run, key)}"
    return None


def _find_gap(store: Store, folder: str) -> str | None:
    """Return the key of the first gap in the reply parts, or None if there is none."""
    there = [key for key in store.list(folder) if key.endswith(".parquet")]
    if not there:
        return f"{folder}/{0:05}/{0:016}.parquet"
    starts: dict[str, int] = {}
    for key in there:
        block, _, name = key.removeprefix(f"{folder}/").partition("/")
        start = starts.get(block, 0)
        if int(name.removesuffix(".parquet")) != start:
            return f"{folder}/{block}/{start:016}.parquet"
        starts[block] = read_head(store, key).get("end", 0)
    return None


def _mend(run: RunKeys, key: str) -> str:
    """Return the remedy for an object."""
    name = key.removeprefix(f"{run.root}/")
    if any(fnmatchcase(name, pattern) for pattern in _MADE_ANEW):
        outcome = f"{run.root}/{name.partition('/')[0]}/outcome.json"
        objects = "it" if key == outcome else f"it and {outcome}"
        return f"remove {objects}, and run the measurement again: it is made anew"
    return "put a whole copy of it back, or run the measurement under another runId"


def _first_line(error: Any) -> str:
    return str(error).partition("\n")[0]
