"""ClickHouse inside of this process: chdb."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import chdb
import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.warehouse.engine import SETTINGS, QueryError, tell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class EmbeddedEngine:
    """Runs queries, one at a time; see ``anabranch.warehouse.engine.Engine``."""

    def __init__(self, *, max_memory_bytes: int, max_threads: int) -> None:
        limits = {"max_memory_usage": max_memory_bytes, "max_threads": max_threads}
        self._settings = ", ".join(
            f"{name} = '{value}'" for name, value in (SETTINGS | limits).items()
        )
        self._lock = threading.Lock()
        self._connection = chdb.connect(":memory:")

    def read(self, query: str) -> pa.Table:
        """The rows of a SELECT."""
        table: pa.Table = self._run(f"{query} SETTINGS {self._settings}", "ArrowTable")
        return table

    def write(self, query: str, file: Path) -> None:
        """Writes the rows of a SELECT to a new Parquet file."""
        name = str(file).replace("\\", "\\\\").replace("'", "\\'")
        outfile = f"INTO OUTFILE '{name}' FORMAT Parquet"
        self._run(f"{query} {outfile} SETTINGS {self._settings}", "Null")
        try:
            pq.read_metadata(file)
        except pa.ArrowInvalid as error:
            # ClickHouse itself does not tell that a disk is full.
            reason = "No space left on device: free some, and start again"
            raise OSError(errno.ENOSPC, reason, str(file)) from error

    def stream(self, query: str, output_format: str) -> Iterator[bytes]:
        """The rows of a SELECT in a format of ClickHouse's that has no header."""
        with self._lock:
            try:
                settings = f"{query} SETTINGS {self._settings}"
                for chunk in self._connection.send_query(settings, output_format):
                    yield chunk.bytes()
            except RuntimeError as error:
                raise QueryError(tell(str(error), query)) from error

    def _run(self, query: str, output_format: str) -> Any:
        with self._lock:
            try:
                return self._connection.query(query, output_format)
            except RuntimeError as error:
                raise QueryError(tell(str(error), query)) from error


def open_embedded() -> EmbeddedEngine:
    """An engine that leaves half of the memory that there is to others."""
    return EmbeddedEngine(
        max_memory_bytes=_find_memory() // 2, max_threads=os.cpu_count() or 1
    )


def _find_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its container's."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _MEMORY_LIMITS:
        with contextlib.suppress(FileNotFoundError, ValueError):
            # Where there is no limit, version 2 says "max", and 1 more than all.
            limits.append(int(file.read_text()))
    return min(limits)


_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""As a container sees its own control group, of version 2 and 1."""
