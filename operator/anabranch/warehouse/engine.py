"""The SQL engine: ClickHouse inside of this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import chdb

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import pyarrow as pa


class QueryError(RuntimeError):
    """A query that ClickHouse refused or could not finish."""


class Engine:
    """Runs queries, one at a time."""

    def __init__(self, *, max_memory_bytes: int, max_threads: int) -> None:
        self._settings = (
            f"max_memory_usage = {max_memory_bytes}, max_threads = {max_threads}, "
            "output_format_parquet_compression_method = 'zstd'"
        )
        self._lock = threading.Lock()

    def read(self, query: str) -> pa.Table:
        """The rows of a SELECT.

        Raises:
            QueryError: With what ClickHouse says.
        """
        table: pa.Table = self._run(f"{query} SETTINGS {self._settings}", "ArrowTable")
        return table

    def write(self, query: str, file: Path, output_format: str = "Parquet") -> None:
        """Writes the rows of a SELECT to a new file.

        Raises:
            QueryError: With what ClickHouse says.
        """
        name = str(file).replace("\\", "\\\\").replace("'", "\\'")
        outfile = f"INTO OUTFILE '{name}' FORMAT {output_format}"
        self._run(f"{query} {outfile} SETTINGS {self._settings}", "Null")

    def _run(self, query: str, output_format: str) -> Any:
        with self._lock:
            try:
                return chdb.query(query, output_format)  # type: ignore[no-untyped-call]
            except RuntimeError as error:
                raise QueryError(str(error)) from error
