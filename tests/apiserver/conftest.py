"""A real API server that knows our kinds."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest

from anabranch.api import KINDS
from anabranch.api.schema import build_crd
from devcluster.apiserver import ApiServer, run_apiserver
from devcluster.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

ESTABLISHED_SECONDS = 30.0
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with our definitions."""
    with run_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        cluster = Namespace(server.connect(), "default")
        for kind in KINDS:
            created = cluster.call("POST", CRDS, build_crd(kind))
            assert created.status == 201, created.body
        deadline = time.monotonic() + ESTABLISHED_SECONDS
        paths = [cluster.path(kind.__name__) for kind in KINDS]
        while any(cluster.call("GET", path).status != 200 for path in paths):
            assert time.monotonic() < deadline, "the kinds are not served"
            time.sleep(0.1)
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer) -> Namespace:
    """A namespace that no other test has."""
    namespace = Namespace(apiserver.connect(), f"test-{uuid.uuid4()}")
    body = {"metadata": {"name": namespace.name}}
    assert namespace.call("POST", "/api/v1/namespaces", body).status == 201
    return namespace
