"""Files of traces as CAIDA's Ark has them: of each monitor of a team, a file a day.

A monitor is the agent that sent the probes. It has each trace of the files that it
traced, by the day on which the trace began. So each trace is in one file.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from anabranch.api.survey import FIRST_CYCLE, find_cycle_number
from anabranch.formats.traces import (
    Heading,
    TraceFormat,
    open_writer,
    read_parts,
)
from anabranch.runs.chain import has_ended
from anabranch.warehouse.parts import find_bounds, find_head, read_footer
from anabranch.warehouse.results import NothingYetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from anabranch_engine import TraceWriter

    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.results import Results

NAME = "ark"
"""The name of the format."""
_FORMAT = TraceFormat("warts", "gzip")
_DAY, _HOUR = 86_400, 3_600
_SUMS = "md5.md5"


@dataclass(frozen=True)
class ArkNames:
    """The names of a cycle's files."""

    team: str
    cycle: int
    """The number of the cycle."""
    start: int
    """When its first trace began, in seconds since 1970."""
    by_hour: bool = False
    """Whether there is a file for each hour, and not for each day."""

    @property
    def folder(self) -> str:
        """The folder of the cycle's files, below that of all teams."""
        return f"{self.team}/{self._tell(self.start, '%Y/cycle-%Y%m%d')}"

    @property
    def list_id(self) -> int:
        """The number of the team: the digits at the end of its name, or 1."""
        digits = re.search(r"\d{1,9}$", self.team)
        return int(digits[0]) if digits else 1

    @property
    def seconds(self) -> int:
        """The length of the time that a file is of."""
        return _HOUR if self.by_hour else _DAY

    def name(self, monitor: str, time: int) -> str:
        """Return the name of a monitor's file with traces that began at a time.

        The time is in seconds since 1970; days and hours are those of UTC.
        """
        when = self._tell(time, "%Y%m%d.%H" if self.by_hour else "%Y%m%d")
        return f"{monitor}.team-probing.c{self.cycle:06}.{when}.warts.gz"

    @staticmethod
    def _tell(time: int, form: str) -> str:
        return datetime.fromtimestamp(time, UTC).strftime(form)


def write_ark(
    results: AgentResults, scratch: Path, *, by_hour: bool = False
) -> Iterator[tuple[str, Path]]:
    """Yield the name of each file of a run, and the file; move it or remove it.

    ``by_hour`` is for a run that goes on: its files are shorter, and no file says that
    the cycle has stopped.

    Raises:
        LookupError: If the run is of another tool than trace.
        OSError: If a file can't be written.
    """
    if not results.is_traced:
        raise LookupError(f"{NAME} holds traces, and the tool is not trace")
    senders, (start, stop) = _look_at_parts(results)
    record = results.record
    number = find_cycle_number(record.measurement.metadata.name)
    names = ArkNames(results.keys.agent, number or FIRST_CYCLE, start, by_hour)
    writing = _Writing(results, scratch, names, None if by_hour else stop)
    sums = []
    for monitor, keys in senders.items():
        for name, file in writing.write(monitor, keys):
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "md5")
            sums.append(f"{digest.hexdigest()}  {name}\n")
            yield f"{names.folder}/{name}", file
    file = scratch / _SUMS
    file.write_text("".join(sums))
    yield f"{names.folder}/{_SUMS}", file


def _look_at_parts(
    results: AgentResults,
) -> tuple[dict[str, list[str]], tuple[int, int]]:
    """Return the keys of the parts of each sender, in order, and the run's times.

    The times are when the first trace began and the last one ended, in seconds. All of
    this stands in the footers, so it takes no memory for rows.
    """
    senders: dict[str, list[str]] = {}
    begins, ends = [], []
    for key in results.list_parts():
        footer = read_footer(results.store, key)
        sender = find_head(footer).get("sender") or results.keys.agent
        senders.setdefault(sender, []).append(key)
        begins += find_bounds(footer, "trace_began_us")
        ends += find_bounds(footer, "trace_ended_us")
    times = (min(begins, default=0) // 1_000_000, max(ends, default=0) // 1_000_000)
    return dict(sorted(senders.items())), times


@dataclass(frozen=True)
class _Writing:
    results: AgentResults
    scratch: Path
    names: ArkNames
    stop: int | None
    """When the cycle stopped; None if it goes on."""

    def write(self, monitor: str, keys: Iterable[str]) -> Iterator[tuple[str, Path]]:
        """Yield the name of each file of a monitor, and the file."""
        writers: dict[int, tuple[TraceWriter, Path]] = {}
        for time, rows in self._divide(read_parts(self.results, keys, self.scratch)):
            if time not in writers:
                file = self.scratch / f"{time}.warts.gz"
                writers[time] = (self._open(monitor, file), file)
            writers[time][0].write(rows)
        for time, (writer, file) in writers.items():
            writer.close()
            yield self.names.name(monitor, time), file

    def _open(self, monitor: str, file: Path) -> TraceWriter:
        names = self.names
        heading = Heading(
            *(names.team, monitor, names.start, self.stop),
            list_id=names.list_id,
            cycle_id=names.cycle,
        )
        return open_writer(self.results, file, _FORMAT, heading)

    def _divide(
        self, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield rows with the beginning of the time that their file is of.

        When a trace began stands in its first row, which may be in a batch before.
        """
        unit = self.names.seconds * 1_000_000
        last = self.names.start * 1_000_000
        for batch in batches:
            began = pc.fill_null_forward(batch["trace_began_us"])
            began = pc.fill_null(began, pa.scalar(last, began.type))
            last = began[-1].as_py()
            numbers = pc.divide(began, pa.scalar(unit, began.type))
            for number in pc.unique(numbers):
                rows = batch.filter(pc.equal(numbers, number))
                time = number.as_py() * self.names.seconds
                yield time, pa.Table.from_batches([rows])


def put_ark(results: Results, folder: Path, scratch: Path) -> None:
    """Write the files of all runs to a new folder.

    As long as a run goes on, there is a file for each hour of what is there so far.

    Raises:
        NothingYetError: If there are no replies yet.
        LookupError: If the tool is not trace.
        OSError: If a file can't be written.
    """
    agents = [agent for agent in results.agents if "replies" in agent.kinds]
    if not agents:
        raise NothingYetError("there are no replies yet; let it run for a while")
    folder.mkdir()
    for agent in agents:
        by_hour = not has_ended(agent.store, agent.keys)
        for name, file in write_ark(agent, scratch, by_hour=by_hour):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, place)
