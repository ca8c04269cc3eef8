"""Files of other tools, made a survey: the traces that they hold, and what follows."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from anabranch_engine import TargetList, TraceReader
from pydantic import ValidationError

from anabranch.api import Agent, Measurement
from anabranch.api.policy import ProbingPolicySpec
from anabranch.api.report import explain, show_path
from anabranch.api.resource import API_VERSION
from anabranch.local.assignment import LOCALHOST, RunError
from anabranch.rounds.steps import FIRST
from anabranch.rounds.targets import choose_targets
from anabranch.runs.assignment import Assignment
from anabranch.runs.record import IMPORTED, RunRecord
from anabranch.store.keys import RunKeys
from anabranch.warehouse.imports import (
    CARACAL,
    FLOWS_A_TRACE,
    count_graphs,
    count_others,
    find_columns,
    list_blocks,
    list_destinations,
    list_prefixes,
    place_replies,
    place_traces,
    read_caracal,
    read_placed,
)
from anabranch.warehouse.job import RoundJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from anabranch.rounds.outcome import Outcome
    from anabranch.store.directory import DirectoryStore
    from anabranch.store.keys import StepKeys
    from anabranch.warehouse.engine import Engine

_CARACAL_CSV = "caracal-csv"
Kind = TypeVar("Kind", Agent, Measurement)
_MOST_TRACES = (1 << 32) // FLOWS_A_TRACE
_PART_ROWS = 1 << 18
_PROTOCOLS = {1: "icmp", 17: "udp", 58: "icmp6"}


@dataclass(frozen=True)
class Archive:
    """What becomes of some files."""

    traces: int
    """The traces that were read."""
    skipped: dict[str, int]
    """What was read and left out, by its name."""
    outcome: Outcome
    """What was found."""


@dataclass(frozen=True)
class Importer:
    """What makes a survey of files."""

    store: DirectoryStore
    engine: Engine
    scratch: Path
    """A folder for files on their way to the store."""
    name: str
    """The measurement's name."""
    namespace: str
    run_id: str
    agent: str
    """The name of the vantage point that the files are from."""
    allow_reserved: bool
    """Whether replies from space that is not globally reachable count."""

    def read(self, files: list[Path], file_format: str | None) -> Archive:
        """Read files, and put what they hold into the store as a run that has ended.

        Raises:
            RunError: If the run is there already, or the files hold no traces.
            ValueError: If a file is damaged, with its name and the place.
        """
        run = RunKeys(f"{self.namespace}.{self.name}", self.run_id, self.agent)
        if self.store.path(run.run).exists():
            message = f"{self.name} has a run {self.run_id} of {self.agent} already"
            raise RunError(f"{message}; choose another name, or --run-id")
        if file_format == _CARACAL_CSV:
            return self._read_replies(files)
        draft = self.scratch / "draft.parquet"
        traces, skipped = _draft(files, file_format, draft)
        rows = f"file('{draft}', 'Parquet')"
        if others := self._count(count_others(rows, _PROTOCOLS)):
            skipped["tcp trace"] = others
        found = self.engine.read(list_destinations(rows, _PROTOCOLS))
        if not len(found):
            held = ", ".join(f"{n:,} x {what}" for what, n in skipped.items())
            raise RunError(f"the files hold no traces, only: {held or 'nothing'}")
        if pc.max(found["traces"]).as_py() > _MOST_TRACES:
            raise RunError(
                f"a destination has more than {_MOST_TRACES:,} traces; import fewer "
                "files at once, under several names"
            )
        algorithm = "mda" if self._count(count_graphs(rows)) else "singlePath"
        assignment = self._assign(found, {"trace": {"algorithm": algorithm}})

        def write(targets: str, keys: StepKeys) -> None:
            places = self.scratch / "places.parquet"
            self.engine.write(place_traces(rows, targets), places)
            there = f"file('{places}', 'Parquet')"
            self._write_parts(
                keys, there, lambda block: read_placed(rows, there, block)
            )

        outcome = self._conclude(assignment, write)
        return Archive(traces - others, skipped, outcome)

    def _read_replies(self, files: list[Path]) -> Archive:
        """Read caracal's replies, which are those of a batch tool."""
        draft = self.scratch / "draft.parquet"
        for file in files:
            names = self.engine.read(find_columns(str(file)))["name"].to_pylist()
            if missing := [name for name in CARACAL if name not in names]:
                told = f"its first line lacks the columns {', '.join(missing)}"
                raise ValueError(f"{file}: line 1: {told}")
        sources = [read_caracal(str(file)) for file in files]
        self.engine.write(" UNION ALL ".join(sources), draft)
        rows = f"file('{draft}', 'Parquet')"
        found = self.engine.read(list_prefixes(rows, _PROTOCOLS))
        if not len(found):
            raise RunError("the files hold no replies")
        assignment = self._assign(found, {"yarrp": {}})

        def write(targets: str, keys: StepKeys) -> None:
            self._write_parts(
                keys, targets, lambda block: place_replies(rows, targets, block)
            )

        return Archive(0, {}, self._conclude(assignment, write))

    def _conclude(
        self, assignment: Assignment, write: Callable[[str, StepKeys], None]
    ) -> Outcome:
        """Put a run into the store; ``write`` puts its parts, given the targets."""
        record = assignment.record
        # Of an import that was interrupted, nobody sees what it left.
        shutil.rmtree(self.store.path(record.keys.root), ignore_errors=True)
        assignment.put_targets(self.store, self.scratch)
        job = RoundJob(
            self.store, self.engine, record.keys, record.run_rules, self.scratch
        )
        job.begin()
        write(self.store.read_sql(record.keys.targets), record.keys.step(FIRST))
        outcome = job.conclude(FIRST)
        self.store.put(record.keys.run, record.write())
        return outcome

    def _count(self, query: str) -> int:
        counted: int = self.engine.read(query).to_pylist()[0]["traces"]
        return counted

    def _assign(self, found: pa.Table, tool: dict[str, Any]) -> Assignment:
        """Return what an agent had to do that sent the probes of these targets."""
        targets = TargetList.read(_list_targets(found))
        policy = ProbingPolicySpec(contact=IMPORTED, allow_reserved=self.allow_reserved)
        measurement = _make(
            Measurement,
            {"name": self.name, "namespace": self.namespace},
            {
                "runId": self.run_id,
                **tool,
                "agents": [{"name": self.agent, "targetList": "imported"}],
            },
        )
        spec = {"nodeName": LOCALHOST, "allowReserved": self.allow_reserved}
        agent = _make(Agent, {"name": self.agent}, spec)
        record = RunRecord(
            uid=f"{self.namespace}.{self.name}",
            measurement=measurement,
            entry=self.agent,
            agent=agent,
            policy=policy,
            target_list=targets.digest(),
        )
        # What was probed already may lie anywhere.
        choice = choose_targets(
            targets,
            measurement.spec.tool,
            policy.model_copy(update={"allow_reserved": True}),
            agent.spec.model_copy(update={"allow_reserved": True}),
        )
        return Assignment(record, choice.targets, choice.counts, record.parameters)

    def _write_parts(
        self, keys: StepKeys, blocks: str, read: Callable[[int], str]
    ) -> None:
        """Put parts into the store, block by block.

        ``blocks`` is the SQL for rows that name the blocks; ``read`` returns the query
        for a block's rows.
        """
        for row in self.engine.read(list_blocks(blocks)).to_pylist():
            block = row["block"]
            sorted_rows = self.scratch / "sorted.parquet"
            self.engine.write(read(block), sorted_rows)
            start = 0
            for number, part in enumerate(_cut(pq.ParquetFile(sorted_rows))):
                key = f"{keys.parts(block)}/{start:016}.parquet"
                start += self._put_part(part, key, block, start, number)
            sorted_rows.unlink()

    def _put_part(
        self, rows: pa.Table, key: str, block: int, start: int, number: int
    ) -> int:
        """Put a part into the store; return the number of its slots."""
        replies = len(rows) - rows["reply_protocol"].null_count
        of_traces = "trace_end" in rows.column_names
        slots = rows["trace_end"].drop_null().length() if of_traces else len(rows)
        head = {
            "plan": "",
            "block": block,
            "start": start,
            "end": start + slots,
            # Files of replies do not tell how many probes had none.
            "probes": int(np.count_nonzero(rows["attempt"].to_numpy()))
            if of_traces
            else replies,
            "replies": replies,
            "traced": slots if of_traces else 0,
            "unroutable": 0,
            # A prober's counts never fall; these stand still.
            "counts": dict.fromkeys(("sent", "forbidden", "unsent", "dropped"), 0),
        }
        metadata = {"anabranch.part": json.dumps(head)}
        draft = self.scratch / f"part-{number}.parquet"
        pq.write_table(
            rows.replace_schema_metadata(metadata), draft, compression="zstd"
        )
        self.store.put_file(key, draft)
        draft.unlink()
        return slots


def _make(kind: type[Kind], metadata: dict[str, Any], spec: dict[str, Any]) -> Kind:
    """Return an object.

    Raises:
        RunError: If a name can't be one, with the remedy.
    """
    body = {
        "apiVersion": API_VERSION,
        "kind": kind.__name__,
        "metadata": metadata,
        "spec": spec,
    }
    try:
        return kind.read(body)
    except ValidationError as error:
        details = error.errors()[0]
        where = show_path(details["loc"])
        raise RunError(f"{where}: {explain(details, kind)}") from error


def _list_targets(found: pa.Table) -> io.BytesIO:
    """Return a target list with the lowest and highest TTL of each target."""
    lines = io.BytesIO()
    for batch in found.to_batches():
        for row in batch.to_pylist():
            address = IPv6Address(row["address"])
            first = address.ipv4_mapped or address
            length = row.get("length", first.max_prefixlen)
            name = _PROTOCOLS[row["protocol"]]
            line = f"{first}/{length},{name},{row['first']},{row['last']},1\n"
            lines.write(line.encode())
    lines.seek(0)
    return lines


def _draft(
    files: list[Path], file_format: str | None, draft: Path
) -> tuple[int, dict[str, int]]:
    """Write the traces of files to one file; return their number, and what is not."""
    skipped: Counter[str] = Counter()
    traces = 0
    writer: pq.ParquetWriter | None = None
    try:
        for file in files:
            reader = TraceReader(file, file_format, first_trace=traces)
            batches = pa.RecordBatchReader.from_stream(reader)
            writer = writer or pq.ParquetWriter(draft, batches.schema)
            for batch in batches:
                writer.write_batch(batch)
            traces += reader.traces
            skipped.update(reader.skipped)
    finally:
        if writer:
            writer.close()
    return traces, dict(skipped)


def _cut(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """Yield the rows of a file in parts, each with whole traces."""
    held: list[pa.RecordBatch] = []
    for batch in file.iter_batches(_PART_ROWS // 4):
        held.append(batch)
        if sum(map(len, held)) < _PART_ROWS:
            continue
        rows = pa.Table.from_batches(held)
        if "trace_end" not in rows.column_names:
            yield rows
            held = []
            continue
        starts = pc.indices_nonzero(pc.is_valid(rows["trace_end"]))
        last = starts[-1].as_py()
        if last:
            yield rows.slice(0, last)
            held = rows.slice(last).to_batches()
    if held:
        yield pa.Table.from_batches(held)
