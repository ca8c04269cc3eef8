"""A real API server that knows our kinds."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from agents import run_site, write_kubeconfig
from anabranch.api import KINDS
from anabranch.api.schema import build_crd
from devcluster.apiserver import ApiServer, run_apiserver
from devcluster.namespace import Namespace
from theatre import Theatre, make_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents import Site
    from devcluster.s3 import S3

ESTABLISHED_SECONDS = 30.0
_numbers = itertools.count()
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
    return make_namespace(Namespace(apiserver.connect(), ""))


@pytest.fixture
def theatre(
    apiserver: ApiServer,
    namespace: Namespace,
    s3: S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Theatre:
    """Two namespaces of an API server, and a store."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(write_kubeconfig(apiserver)))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("ANABRANCH_STORE_ENDPOINT", s3.url)
    monkeypatch.setenv("ANABRANCH_STORE_BUCKET", "")
    system = make_namespace(namespace)
    return Theatre(system, namespace, s3, tmp_path)


@pytest.fixture
def site(
    tmp_path: Path, apiserver: ApiServer, namespace: Namespace, s3: S3
) -> Iterator[Site]:
    """A vantage point of its own, with an agent."""
    with run_site(tmp_path, next(_numbers), apiserver, namespace, s3) as site:
        yield site
