"""Formats of traces: warts and scamper's JSON among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from anabranch_engine import TraceWriter

from anabranch.api.tool import Trace
from anabranch.warehouse.results import NothingYetError
from anabranch.warehouse.traces import find_span, sort_pings, sort_replies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from anabranch.runs.record import RunRecord
    from anabranch.warehouse.agentresults import AgentResults

FORMATS = ("warts", "scamper-json", "atlas-json")
"""The formats that can be written, by their names."""
NAMES = {"warts": "warts", "scamperJson": "scamper-json", "atlasJson": "atlas-json"}
"""The same, by the names that a Measurement has for them."""
SUFFIXES = {"warts": "warts", "scamperJson": "jsonl", "atlasJson": "jsonl"}
"""The ends of their files' names, by the names that a Measurement has for them."""
_BATCH_ROWS = 1 << 16
_SORTED_ROWS = 1 << 20
"""The most rows that are sorted together, if targets have about as many each."""


@dataclass(frozen=True)
class TraceFormat:
    """How traces are written."""

    name: str
    """One of ``FORMATS``."""
    compression: str | None = None
    """``gzip`` or ``zstd``."""
    is_multipath: bool | None = None
    """Whether a trace is of all flows of a target, or of one flow; by default it is as
    the tool traces."""


@dataclass(frozen=True)
class Heading:
    """What a file says of the list and the cycle of its traces."""

    name: str
    """The name of the list."""
    monitor: str
    """Who traced."""
    start: int
    """When the cycle began, in seconds since 1970."""
    stop: int | None
    """When it stopped; None if it goes on."""
    list_id: int = 1
    cycle_id: int = 1


def write_traces(
    results: AgentResults, file: Path, wanted: TraceFormat, scratch: Path
) -> int:
    """Write what an agent found to a new file, as traces; return their number.

    Of batch tools only probes with replies are known. Those of the tool ping become
    pings.

    Raises:
        NothingYetError: If the run has no replies yet.
        OSError: If the file can't be written.
        QueryError: If ClickHouse fails.
    """
    if "replies" not in results.kinds:
        raise NothingYetError("there are no replies yet; let it run for a while")
    record = results.record
    span = find_span(results.rows, is_traced=results.is_traced)
    (times,) = results.engine.read(span).to_pylist()
    heading = Heading(
        *(record.measurement.metadata.name, record.agent.metadata.name),
        *(times["start"], times["stop"]),
    )
    writer = open_writer(results, file, wanted, heading)
    for batch in _read_rows(results, scratch):
        writer.write(pa.Table.from_batches([batch]))
    return writer.close()


def open_writer(
    results: AgentResults, file: Path, wanted: TraceFormat, heading: Heading
) -> TraceWriter:
    """Open a new file for traces of a run.

    Raises:
        OSError: If the file can't be made.
    """
    record = results.record
    tool, agent = record.measurement.spec.tool, record.agent.spec
    trace = tool if isinstance(tool, Trace) else None
    tracing = record.tracing
    is_multipath = wanted.is_multipath
    if is_multipath is None:
        is_multipath = tracing is not None and tracing.algorithm != "singlePath"
    return TraceWriter(
        file,
        wanted.name,
        compression=wanted.compression,
        is_multipath=is_multipath,
        **asdict(heading),
        first_ttl=agent.min_ttl,
        max_ttl=agent.max_ttl,
        gap_limit=trace.gap_limit if trace else None,
        attempts=trace.attempts if trace else 1,
        confidence=_find_confidence(record),
        max_probes=trace.max_probes if trace else None,
        wait_us=((trace and trace.chosen_wait) or agent.wait_seconds) * 1_000_000,
        is_ping=results.is_ping,
    )


def read_parts(
    results: AgentResults, keys: Iterable[str], scratch: Path
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some parts of traces, in the order of the keys."""
    for key in keys:
        path = results.store.fetch(key, scratch)
        with pq.ParquetFile(path) as part:
            yield from part.iter_batches(_BATCH_ROWS)
        if path.is_relative_to(scratch):
            path.unlink()  # It is a copy.


def _find_confidence(record: RunRecord) -> int | None:
    """Return how sure a trace is that it found all next hops, in percent."""
    tracing = record.tracing
    if tracing is None or tracing.algorithm == "singlePath":
        return None
    # scamper has whole percents.
    return round(100 * (1 - tracing.failure_probability))


def _read_rows(results: AgentResults, scratch: Path) -> Iterator[pa.RecordBatch]:
    """Yield rows, sorted by target, flow, TTL and attempt."""
    if results.is_traced:
        # A part has whole traces, and parts follow one another.
        yield from read_parts(results, results.list_parts(), scratch)
        return
    draft = scratch / "sorted.parquet"
    for condition in _cut(results):
        rows = f"(SELECT * FROM {results.rows} WHERE {condition})"
        query = sort_replies(rows)
        if results.is_ping:
            pinged = f"(SELECT * FROM {results.pinged} WHERE {condition})"
            query = sort_pings(rows, pinged)
        results.engine.write(query, draft)
        with pq.ParquetFile(draft) as sorted_rows:
            yield from sorted_rows.iter_batches(_BATCH_ROWS)
        draft.unlink()


def _cut(results: AgentResults) -> Iterator[str]:
    """Yield conditions of ``prefix_index``: some targets after others, in order.

    So few are sorted at once that they fit into memory.
    """
    rows, targets = _count(results, results.rows)
    if results.is_ping:
        # An address that nothing answered has a row, too.
        pinged, targets = _count(results, results.pinged)
        rows = max(rows, pinged)
    pieces = -(-rows // _SORTED_ROWS) or 1
    step = -(-targets // pieces)
    for first in range(0, targets, step):
        yield f"prefix_index BETWEEN {first} AND {first + step - 1}"


def _count(results: AgentResults, rows: str) -> tuple[int, int]:
    """Return the number of rows, and that of targets as far as there are rows."""
    counts = "count() AS rows, max(prefix_index) + 1 AS targets"
    (found,) = results.engine.read(f"SELECT {counts} FROM {rows}").to_pylist()
    return found["rows"], found["targets"]
