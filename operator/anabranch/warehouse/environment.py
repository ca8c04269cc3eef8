"""The engine that a process in a cluster is told of by its environment."""

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
"""Users and passwords stand elsewhere, so that a URL can be told."""
NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""What databases and clusters are called."""


@dataclass(frozen=True)
class Warehouse:
    """What runs SQL, and the tables that results are loaded into, if there are any."""

    engine: Engine
    tables: Tables | None = None


@contextmanager
def open_warehouse(environment: Mapping[str, str]) -> Iterator[Warehouse]:
    """A server with its tables where the environment names one; else chdb, without.

    Raises:
        ValueError: When what it names can't be, with the remedy.
    """
    # One of them is used, and each takes its time and memory.
    url = environment.get(URL)
    if not url:
        from anabranch.warehouse.embedded import open_embedded  # noqa: PLC0415

        yield Warehouse(open_embedded())
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
        yield Warehouse(engine, Tables(engine, schema))
