"""What runs SQL: ClickHouse inside of this process, or a server of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa


class QueryError(RuntimeError):
    """A query that ClickHouse refused or could not finish."""


class ServerAwayError(OSError):
    """A server that does not answer, or can't work now; it is to be asked again."""


class Engine(Protocol):
    """Runs queries; the same text on all engines.

    All of it raises ``QueryError`` with what ClickHouse says, and ``ServerAwayError``
    when a server of it says nothing.
    """

    def read(self, query: str) -> pa.Table:
        """The rows of a SELECT."""

    def write(self, query: str, file: Path) -> None:
        """Writes the rows of a SELECT to a new Parquet file.

        Raises:
            OSError: When not all of it could be written.
        """

    def stream(self, query: str, output_format: str) -> Iterator[bytes]:
        """The rows of a SELECT in a format of ClickHouse's that has no header."""


def tell(said: str, query: str) -> str:
    """The first line of what ClickHouse says of a query, without what is secret there.

    More is for ClickHouse's own developers.
    """
    line = said.partition("\n")[0].partition(": In scope ")[0]
    for words in _SECRETS.findall(query):
        for secret in _WORD.findall(words):
            line = line.replace(secret, "[HIDDEN]")
    return line


SETTINGS = {
    "output_format_parquet_compression_method": "zstd",
    # What is read was listed before: a store that then has nothing does not tell all.
    "s3_throw_on_zero_files_match": 1,
}
"""What holds for all queries, on all engines."""
_WORD = re.compile(r"'((?:[^'\\]|\\.)+)'")
_SECRETS = re.compile(r"s3\('[^']*', '[^']*', ((?:'(?:[^'\\]|\\.)*', )+)'Parquet'\)")
"""The secret key, and a token, of ``Store.read_sql``."""
