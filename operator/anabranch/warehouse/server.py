"""A ClickHouse server, over HTTP."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import httpx
import pyarrow as pa
from pych_client import ClickHouseClient

from anabranch.warehouse.engine import (
    ENCODES_ARROW_IN_PARALLEL,
    SETTINGS,
    QueryError,
    ServerAwayError,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SETTINGS = SETTINGS | {
    # Without this, a query that fails halfway gives half of an answer, not an error.
    "wait_end_of_query": 1,
}
_ANSWER_SECONDS = 3600.0
"""The time without an answer after which a server is away; a block may take minutes."""
_AWAY = frozenset({"159", "202", "209", "210", "236", "242", "279", "319", "999"})
"""Errors that pass by themselves: time-outs, too many queries, networks, and Keeper.

The codes are those of ClickHouse's ``ErrorCodes.cpp``.
"""
_CODE = "X-ClickHouse-Exception-Code"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ServerEngine:
    """An engine that runs queries on a server; see ``Engine``.

    ``url`` contains neither user nor password. Without a user, ClickHouse takes
    ``default``.
    """

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self._url = url
        self._client = ClickHouseClient(
            url,
            username=user or None,
            password=password or None,
            settings=_SETTINGS,
            read_write_timeout=_ANSWER_SECONDS,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.client.close()

    def read(self, query: str) -> pa.Table:
        """Return the rows of a SELECT."""
        with self._ask(query, "ArrowStream", self._of_arrow) as answer:
            return pa.ipc.open_stream(answer.read()).read_all()

    def write(self, query: str, file: Path) -> None:
        """Write the rows of a SELECT to a new Parquet file."""
        with file.open("xb") as out:
            out.writelines(self.stream(query, "Parquet"))

    def stream(self, query: str, output_format: str) -> Iterator[bytes]:
        """The rows of a SELECT in a format of ClickHouse's that has no header."""
        with self._ask(query, output_format) as answer:
            yield from answer.iter_bytes()

    @contextmanager
    def keep(self, query: str) -> Iterator[str]:
        """Return the SELECT itself: a server of a cluster can't hold it for all."""
        yield query

    def execute(self, statement: str) -> None:
        """Does what gives no rows."""
        with self._ask(statement, "Null") as answer:
            answer.read()

    @cached_property
    def _of_arrow(self) -> dict[str, str]:
        """The settings of queries for Arrow, as far as the server knows them."""
        name = ENCODES_ARROW_IN_PARALLEL
        query = f"SELECT name FROM system.settings WHERE name = '{name}'"
        known = b"".join(self.stream(query, "TSV"))
        return {name: "0"} if known else {}

    @contextmanager
    def _ask(
        self, query: str, output_format: str, more: Mapping[str, str] = _NOTHING
    ) -> Iterator[httpx.Response]:
        """The answer to a query, which goes in the body: URLs are written to logs.

        ``more`` are settings for this query alone.
        """
        settings = {"default_format": output_format, **more}
        try:
            with self._client.stream(
                "", data=query.encode(), settings=settings
            ) as answer:
                if not answer.is_success:
                    self._refuse(answer, query)
                yield answer
        except httpx.InvalidURL as error:
            raise ValueError(f"{self._url} is no URL of ClickHouse: {error}") from error
        except httpx.TransportError as error:
            raise ServerAwayError(
                f"ClickHouse can't be reached at {self._url}: "
                f"{str(error) or type(error).__name__}"
            ) from error

    def _refuse(self, answer: httpx.Response, query: str) -> None:
        said = tell(answer.read().decode(errors="replace"), query)
        code = answer.headers.get(_CODE)
        if code in _AWAY:
            raise ServerAwayError(f"ClickHouse can't now: {said}")
        if code is not None:
            raise QueryError(said)
        what = f"{self._url} answers {answer.status_code}, not as ClickHouse does"
        if answer.is_server_error:
            raise ServerAwayError(what)
        raise QueryError(f"{what}: {said}; correct clickhouse.url")
