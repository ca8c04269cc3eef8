"""Files of other tools, made a survey: the traces that they hold, and what follows."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, TypeVar

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
from anabranch.local.partwriter import PartWriter
from anabranch.local.places import FLOWS_A_TRACE, Places
from anabranch.rounds.steps import FIRST
from anabranch.rounds.targets import choose_targets
from anabranch.runs.assignment import Assignment
from anabranch.runs.record import IMPORTED, RunRecord
from anabranch.store.keys import RunKeys
from anabranch.warehouse.imports import (
    count_graphs,
    count_other_replies,
    count_others,
    list_destinations,
    list_prefixes,
    place_replies,
)
from anabranch.warehouse.job import RoundJob
from anabranch.warehouse.pieces import PIECE_ROWS, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from anabranch.rounds.outcome import Outcome
    from anabranch.store.directory import DirectoryStore
    from anabranch.warehouse.engine import Engine

Kind = TypeVar("Kind", Agent, Measurement)
_MOST_TRACES = (1 << 32) // FLOWS_A_TRACE
_PIECE_ROWS = 1 << 20
"""The rows of traces that one query looks at together. Fewer take less memory, but more
time: each query reads all of them."""
_BATCH_ROWS = 1 << 16
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
class _Draft:
    """A file with what was read, on its way to the store."""

    file: Path
    traces: int
    skipped: dict[str, int]
    """What was left out, by its name."""
    has_replies: bool
    """Whether it holds replies of a batch tool, and no traces."""


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
        draft = _draft(files, file_format, self.scratch / "draft.parquet")
        rows = f"file('{draft.file}', 'Parquet')"
        if draft.has_replies:
            return self._place_replies(rows)
        return self._place_traces(draft, rows)

    def _place_traces(self, draft: _Draft, rows: str) -> Archive:
        """Place traces, which are those of the tool trace."""
        skipped = dict(draft.skipped)
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

        def write(parts: PartWriter) -> None:
            places = Places.of(self.store.path(assignment.record.keys.targets))
            for traced in _read_groups(draft.file):
                parts.add(*places.place(traced))

        outcome = self._conclude(assignment, write, _PIECE_ROWS)
        return Archive(draft.traces - others, skipped, outcome)

    def _place_replies(self, rows: str) -> Archive:
        """Place replies, which are those of a batch tool."""
        others = self._count(count_other_replies(rows, _PROTOCOLS))
        found = self.engine.read(list_prefixes(rows, _PROTOCOLS))
        if not len(found):
            raise RunError("the files hold no replies to probes by ICMP or UDP")
        assignment = self._assign(found, {"yarrp": {}})

        def write(parts: PartWriter) -> None:
            targets = self.store.read_sql(assignment.record.keys.targets)
            for piece in cut(self.engine, rows, PIECE_ROWS):
                placed = self.scratch / "placed.parquet"
                self.engine.write(place_replies(rows, targets, piece), placed)
                with pq.ParquetFile(placed) as file:
                    for batch in file.iter_batches(_BATCH_ROWS):
                        found = pa.Table.from_batches([batch])
                        blocks = found["block"].to_numpy()
                        parts.add(found.drop_columns("block"), blocks)
                placed.unlink()

        outcome = self._conclude(assignment, write, PIECE_ROWS)
        skipped = {"reply to a probe by another protocol": others} if others else {}
        return Archive(0, skipped, outcome)

    def _conclude(
        self,
        assignment: Assignment,
        write: Callable[[PartWriter], None],
        piece_rows: int,
    ) -> Outcome:
        """Put a run into the store; ``write`` adds the rows of its parts.

        ``piece_rows`` are the rows that one query looks at together.
        """
        record = assignment.record
        # Of an import that was interrupted, nobody sees what it left.
        shutil.rmtree(self.store.path(record.keys.root), ignore_errors=True)
        assignment.put_targets(self.store, self.scratch)
        job = RoundJob(
            *(self.store, self.engine, record.keys, record.run_rules, self.scratch),
            piece_rows=piece_rows,
        )
        job.begin()
        parts = PartWriter(self.store, record.keys.step(FIRST), self.scratch)
        write(parts)
        parts.close()
        outcome = job.conclude(FIRST)
        self.store.put(record.keys.run, record.write())
        return outcome

    def _count(self, query: str) -> int:
        (row,) = self.engine.read(query).to_pylist()
        (counted,) = row.values()
        return int(counted)

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


def _draft(files: list[Path], file_format: str | None, draft: Path) -> _Draft:
    """Write what files hold to one file.

    Raises:
        ValueError: If a file is damaged, or holds replies where others hold traces.
    """
    skipped: Counter[str] = Counter()
    traces, has_replies = 0, False
    with ExitStack() as opened:
        writer: pq.ParquetWriter | None = None
        for file in files:
            reader = TraceReader(file, file_format, first_trace=traces)
            batches = pa.RecordBatchReader.from_stream(reader)
            if not writer:
                has_replies = reader.has_replies
                writer = opened.enter_context(pq.ParquetWriter(draft, batches.schema))
            elif has_replies != reader.has_replies:
                message = "traces and replies of caracal's are two surveys"
                raise ValueError(f"{file}: {message}; import each alone")
            try:
                for batch in batches:
                    # A batch has whole traces, and a group the rows of a batch.
                    writer.write_batch(batch, len(batch))
            except pa.ArrowInvalid as error:
                # Arrow says before it that the reader said it.
                told = str(error).removeprefix("External error: ")
                raise ValueError(told) from error
            traces += reader.traces
            skipped.update(reader.skipped)
    return _Draft(draft, traces, dict(skipped), has_replies)


def _read_groups(draft: Path) -> Iterator[pa.Table]:
    """Yield the traces of a draft that are of targets, some at a time, each whole."""
    known = pa.array(list(_PROTOCOLS), pa.uint8())
    with pq.ParquetFile(draft) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group)
            is_known = pc.is_in(rows["probe_protocol"], known)
            traced = rows if pc.all(is_known).as_py() else rows.filter(is_known)
            if len(traced):
                yield traced
