"""A real API server that the chart has been installed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devcluster.apiserver import ApiServer, run_apiserver
from devcluster.namespace import Namespace
from devcluster.process import wait_until
from helm import CONTACT, NAMESPACE, render

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISHED_SECONDS = 30.0


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with the chart's definitions and the system namespace.

    Each module has its own: what it installs is of the whole cluster.
    """
    with run_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        system = Namespace(server.connect(), NAMESPACE)
        for name in (NAMESPACE, "research", "teaching"):
            body = {"metadata": {"name": name}}
            assert system.call("POST", "/api/v1/namespaces", body).status == 201
        for crd in render(CONTACT).list("CustomResourceDefinition"):
            created = system.call("POST", CRDS, crd)
            assert created.status == 201, created.body
        kinds = ("Agent", "Measurement", "ProbingPolicy", "Round", "TargetList")
        wait_until(
            "the kinds",
            lambda: all(
                system.call("GET", system.path(kind)).status == 200 for kind in kinds
            ),
            ESTABLISHED_SECONDS,
        )
        yield server


@pytest.fixture
def system(apiserver: ApiServer) -> Namespace:
    """The system namespace."""
    return Namespace(apiserver.connect(), NAMESPACE)
