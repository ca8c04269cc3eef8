"""ClickHouse inside this process: chdb."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import chdb
import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.warehouse.engine import (
    ENCODES_ARROW_IN_PARALLEL,
    SETTINGS,
    QueryError,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class EmbeddedEngine:
    """An engine in this process that runs one query at a time; see ``Engine``."""

    def __init__(
        self, *, max_memory_bytes: int, max_threads: int, scratch: Path | None = None
    ) -> None:
        limits = {
            "max_memory_usage": max_memory_bytes,
            "max_threads": max_threads,
            "max_insert_threads": max_threads,
        }
        limits[ENCODES_ARROW_IN_PARALLEL] = 0
        settings = ", ".join(
            f"{name} = '{value}'" for name, value in (SETTINGS | limits).items()
        )
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        with _keeping_files_in(scratch):
            self._connection = chdb.connect(":memory:")
            # Streams would not follow a query's own settings of their format.
            self._connection.query(f"SET {settings}")

    def close(self) -> None:
        """Free its memory, and remove its temporary files."""
        self._connection.close()

    def read(self, query: str) -> pa.Table:
        """Return the rows of a SELECT."""
        # Its own ArrowTable imports pandas, which takes longer than most queries.
        found = self._run(query, "Arrow")
        if not len(found):
            return pa.table({})
        return pa.ipc.open_file(found.get_memview().view()).read_all()

    def write(self, query: str, file: Path) -> None:
        """Write the rows of a SELECT to a new Parquet file."""
        name = str(file).replace("\\", "\\\\").replace("'", "\\'")
        self._run(f"{query} INTO OUTFILE '{name}' FORMAT Parquet", "Null")
        try:
            pq.read_metadata(file)
        except pa.ArrowInvalid as error:
            # ClickHouse itself does not report a full disk.
            reason = "No space left on device: free some, and start again"
            raise OSError(errno.ENOSPC, reason, str(file)) from error

    def stream(self, query: str, output_format: str) -> Iterator[bytes]:
        """Yield the rows of a SELECT in a ClickHouse format without a header."""
        with self._lock:
            try:
                for chunk in self._connection.send_query(query, output_format):
                    yield chunk.bytes()
            except RuntimeError as error:
                raise QueryError(tell(str(error), query)) from error

    @contextlib.contextmanager
    def keep(self, query: str) -> Iterator[str]:
        """Hold the rows of a SELECT in memory, and return a SELECT for them."""
        name = f"kept{next(self._numbers)}"
        self._run(f"CREATE TEMPORARY TABLE {name} AS {query}", "Null")
        try:
            yield f"SELECT * FROM {name}"
        finally:
            self._run(f"DROP TEMPORARY TABLE {name}", "Null")

    def read_batches(self, query: str) -> pa.RecordBatchReader:
        """Return the rows of a SELECT, batch by batch.

        The engine must run no other query until they are read, and none at all if they
        are dropped before.
        """
        # chdb itself tells no columns if there are no rows.
        schema = self.read(f"SELECT * FROM ({query}) LIMIT 0").schema
        settings = f"input_format_parquet_max_block_size = {_BLOCK_ROWS}"
        batches = self._read_batches(f"SELECT * FROM ({query}) SETTINGS {settings}")
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _read_batches(self, query: str) -> Iterator[pa.RecordBatch]:
        with self._lock:
            try:
                found = self._connection.send_query(query, "Arrow")
                yield from found.record_batch(_BATCH_ROWS)
            except RuntimeError as error:
                raise QueryError(tell(str(error), query)) from error

    def _run(self, query: str, output_format: str) -> Any:
        with self._lock:
            try:
                return self._connection.query(query, output_format)
            except RuntimeError as error:
                raise QueryError(tell(str(error), query)) from error


def open_embedded(
    max_threads: int | None = None, scratch: Path | None = None
) -> EmbeddedEngine:
    """Open an engine that may use half of the memory, and by default all cores.

    ``scratch`` is the folder for its temporary files, by default the machine's. They
    stay there if the process is killed.
    """
    return EmbeddedEngine(
        max_memory_bytes=_find_memory() // 2,
        max_threads=max_threads or os.cpu_count() or 1,
        scratch=scratch,
    )


@contextlib.contextmanager
def _keeping_files_in(scratch: Path | None) -> Iterator[None]:
    """Have chdb make its temporary files in a folder, as it does at its first query."""
    before = os.environ.get(_TEMPORARY)
    if scratch:
        os.environ[_TEMPORARY] = str(scratch)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_TEMPORARY, None)
        else:
            os.environ[_TEMPORARY] = before


def _find_memory() -> int:
    """Return the memory limit of the process in bytes: the machine's or container's."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _MEMORY_LIMITS:
        with contextlib.suppress(FileNotFoundError, ValueError):
            # Without a limit, version 2 has "max", and version 1 a huge number.
            limits.append(int(file.read_text()))
    return min(limits)


_TEMPORARY = "TMPDIR"
_BATCH_ROWS = 1 << 16
_BLOCK_ROWS = 1 << 13
"""The rows that are read of a Parquet file at once for a stream. With ClickHouse's own
number, the rows in flight take some 300 MB."""
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""The memory limits of a container's own control group, in versions 2 and 1."""
