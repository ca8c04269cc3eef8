"""A ClickHouse server, and a run whose Jobs used it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from anabranch.store.s3 import S3Store
from anabranch.warehouse.server import ServerEngine
from clickhouseserver import PASSWORD, USER, run_clickhouse
from devcluster.s3 import KEY, REGION, S3, SECRET
from jobruns import JobRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouseserver import Server


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


@pytest.fixture(scope="module")
def store(s3_server: S3) -> Iterator[S3Store]:
    """The store of Jobs, in this process's environment."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        environment.setenv("ANABRANCH_STORE_BUCKET", s3_server.bucket)
        environment.setenv("ANABRANCH_STORE_ENDPOINT", s3_server.url)
        yield S3Store(s3_server.bucket, endpoint_url=s3_server.url)


@pytest.fixture(scope="module")
def surveyed(
    clickhouse: Server,
    store: S3Store,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> JobRun:
    """A run that is over, of Jobs that used the server; of each module its own."""
    uid = request.path.stem.replace("_", "-")
    scratch = tmp_path_factory.mktemp("scratch")
    run = JobRun(store, scratch, uid, clickhouse.environment)
    run.survey()
    return run
