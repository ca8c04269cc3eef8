"""A real API server that knows our kinds."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from agents import run_site, write_kubeconfig
from devcluster.namespace import Namespace
from sharedserver import share
from theatre import Theatre, make_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents import Site
    from devcluster.apiserver import ApiServer
    from devcluster.s3 import S3

_numbers = itertools.count()


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> ApiServer:
    """A real API server with our definitions, the same for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        return share(own.parent / "apiserver", os.getppid())
    return share(own / "apiserver", os.getpid())


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
