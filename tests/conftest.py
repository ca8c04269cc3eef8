"""What tests of several kinds need."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from anabranch.store.directory import DirectoryStore
from anabranch.store.s3 import S3Store
from devcluster.s3 import KEY, REGION, S3, SECRET, run_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anabranch.store.store import Store

# A machine may be slow: that is no failure of what is tested.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

LONG = (
    *("test_surveys.py", "test_teams.py", "test_interruptions.py", "test_agent.py"),
    *("test_connection_queue.py", "test_connection_files.py", "test_leadership.py"),
    *("test_trace_surveys.py", "test_traced_rounds.py", "test_tables.py"),
    *("test_ark.py", "test_quotas.py"),
    *("test_topologies.py", "test_prober.py", "test_damage.py", "test_traces.py"),
    *("test_differences.py", "test_reports.py", "test_results.py"),
)
"""Files that take a minute or longer, or most of one; the longest ones first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: else all others wait for one of them at the end."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 gateway."""
    with run_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's, where boto3 finds them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.fixture
def s3(s3_server: S3, s3_credentials: None) -> S3:  # noqa: ARG001 (for boto3)
    """A real S3 gateway, that this process may use, with a bucket for the test alone.

    Surveys of several tests have the same name, and so the same keys.
    """
    bucket = f"test-{uuid.uuid4()}"
    S3Store(bucket, endpoint_url=s3_server.url).create_bucket()
    return replace(s3_server, bucket=bucket)


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store, of each kind; many modules have another one."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    server: S3 = request.getfixturevalue("s3")
    return S3Store(server.bucket, endpoint_url=server.url)
