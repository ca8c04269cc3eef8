"""The interface of what runs SQL: ClickHouse inside this process, or its server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow as pa


class QueryError(RuntimeError):
    """A query that ClickHouse refused or could not finish."""


class ServerAwayError(OSError):
    """The server does not answer, or can't work now; retry later."""


class Engine(Protocol):
    """An engine for queries, whose text is the same for all engines.

    Each method raises ``QueryError`` with ClickHouse's message, and ``ServerAwayError``
    if a ClickHouse server does not answer.
    """

    def read(self, query: str) -> pa.Table:
        """Return the rows of a SELECT."""

    def write(self, query: str, file: Path) -> None:
        """Write the rows of a SELECT to a new Parquet file.

        Raises:
            OSError: If the file could not be written whole.
        """

    def stream(self, query: str, output_format: str) -> Iterator[bytes]:
        """Yield the rows of a SELECT in a ClickHouse format without a header."""

    def keep(self, query: str) -> AbstractContextManager[str]:
        """Return a SELECT for the same rows, for callers that read them several times.

        An engine may hold the rows in memory until the context ends.
        """


def tell(said: str, query: str) -> str:
    """Return the first line of ClickHouse's message on a query, with secrets hidden.

    The other lines only help ClickHouse's own developers.
    """
    line = said.partition("\n")[0].partition(": In scope ")[0]
    for words in _SECRETS.findall(query):
        for secret in _WORD.findall(words):
            line = line.replace(secret, "[HIDDEN]")
    return line


SETTINGS = {
    "output_format_parquet_compression_method": "zstd",
    # Objects are listed before they are read: if none matches then, data is missing.
    "s3_throw_on_zero_files_match": 1,
    # A null is an empty field.
    "format_csv_null_representation": "",
}
"""The settings of all queries on all engines."""
ENCODES_ARROW_IN_PARALLEL = "output_format_arrow_parallel_encoding"
"""A setting that must be off: the threads of version 26.5 may wait for each other for
ever. Earlier versions do not know it."""
_WORD = re.compile(r"'((?:[^'\\]|\\.)+)'")
_SECRETS = re.compile(r"s3\('[^']*', '[^']*', ((?:'(?:[^'\\]|\\.)*', )+)'Parquet'\)")
"""Finds the secret key and the token in the SQL of ``Store.read_sql``."""
