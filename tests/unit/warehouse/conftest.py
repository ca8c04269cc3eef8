"""A ClickHouse server, and a run whose Jobs used it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from anabranch.store.environment import BUCKET, ENDPOINT, open_store
from anabranch.warehouse.server import ServerEngine
from clickhouseserver import PASSWORD, USER, run_clickhouse
from devcluster.s3 import KEY, REGION, SECRET
from jobruns import JobRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.store.s3 import S3Store
    from clickhouseserver import Server
    from devcluster.s3 import S3


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with tables of its own."""
    with run_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture(scope="session")
def engine(clickhouse: Server) -> Iterator[ServerEngine]:
    """An engine that asks it."""
    with closing(ServerEngine(clickhouse.url, USER, PASSWORD)) as engine:
        yield engine


@pytest.fixture(scope="session")
def of_jobs(s3_server: S3) -> dict[str, str]:
    """What Jobs are told of the store."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        BUCKET: s3_server.bucket,
        ENDPOINT: s3_server.url,
    }


@pytest.fixture(scope="session")
def store(of_jobs: dict[str, str]) -> S3Store:
    """The store of Jobs."""
    with patch.dict(os.environ, of_jobs):
        return open_store(os.environ)


@pytest.fixture(scope="session")
def surveyed(
    clickhouse: Server,
    of_jobs: dict[str, str],
    store: S3Store,
    tmp_path_factory: pytest.TempPathFactory,
) -> JobRun:
    """A run that is over, of Jobs that used the server."""
    scratch = tmp_path_factory.mktemp("scratch")
    run = JobRun(store, scratch, "surveyed", of_jobs | clickhouse.environment)
    run.survey()
    return run
