"""Open the engine that the environment of a process in a cluster names."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anabranch.warehouse.engine import Engine
    from anabranch.warehouse.tables import Tables

URL = "ANABRANCH_CLICKHOUSE_URL"
USER = "ANABRANCH_CLICKHOUSE_USER"
PASSWORD = "ANABRANCH_CLICKHOUSE_PASSWORD"  # noqa: S105 (a name)
DATABASE = "ANABRANCH_CLICKHOUSE_DATABASE"
CLUSTER = "ANABRANCH_CLICKHOUSE_CLUSTER"

URL_PATTERN = r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$"
"""The form of the URL. It has no user and password, so that messages may show it."""
NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""The form of the names of databases and clusters."""


@dataclass(frozen=True)
class Warehouse:
    """The engine that runs SQL, and the tables to load results into, if any."""

    engine: Engine
    tables: Tables | None = None


@contextmanager
def open_warehouse(environment: Mapping[str, str]) -> Iterator[Warehouse]:
    """Open the server that the environment names, with its tables, or else chdb.

    chdb has no tables.

    Raises:
        ValueError: If a variable is invalid, with the remedy.
    """
    with open_tables(environment) as tables:
        if tables:
            yield Warehouse(tables.engine, tables)
            return
        # Import only the engine that is used, to save time and memory.
        from anabranch.warehouse.embedded import open_embedded  # noqa: PLC0415

        yield Warehouse(open_embedded())


@contextmanager
def open_tables(environment: Mapping[str, str]) -> Iterator[Tables | None]:
    """Open the tables of the server that the environment names, if it names one.

    Raises:
        ValueError: If a variable is invalid, with the remedy.
    """
    url = environment.get(URL)
    if not url:
        yield None
        return
    from anabranch.warehouse.schema import Schema  # noqa: PLC0415
    from anabranch.warehouse.server import ServerEngine  # noqa: PLC0415
    from anabranch.warehouse.tables import Tables  # noqa: PLC0415

    if not re.fullmatch(URL_PATTERN, url):
        # It may have a password in it.
        raise ValueError(
            f"{URL} is no URL such as http://clickhouse:8123; user and password belong "
            f"into {USER} and {PASSWORD}"
        )
    database, cluster = environment.get(DATABASE), environment.get(CLUSTER)
    for name, value in ((DATABASE, database), (CLUSTER, cluster)):
        if value and not re.fullmatch(NAME_PATTERN, value):
            raise ValueError(f"{name} is {value!r}; use letters, digits, _ and -")
    user, password = environment.get(USER, ""), environment.get(PASSWORD, "")
    schema = Schema(database or "anabranch", cluster or "")
    with closing(ServerEngine(url, user, password)) as engine:
        yield Tables(engine, schema)
