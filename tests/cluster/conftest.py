"""A cluster with our images, a namespace for each test, the logs of those that fail."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentpair import install
from devcluster.cluster import Cluster
from devcluster.demo import Demo
from devcluster.evidence import keep_evidence
from devcluster.images import ImageStore
from devcluster.layout import Layout
from devcluster.project import build_images

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from devcluster.kubectl import Kubectl
    from world import World

NUMBER, ALONE = 90, 91
KEPT = Path(__file__).parents[2] / "build" / "failed"
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know that their test failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One for all tests; the running one of the number in ANABRANCH_CLUSTER, if set."""
    build_images(ImageStore())
    if number := os.environ.get("ANABRANCH_CLUSTER"):
        running = Cluster.find(int(number))
        assert running, f"cluster {number} does not run: make cluster-up"
        running.start()
        yield running
        return
    cluster = Cluster(Layout(NUMBER))
    cluster.stop()
    try:
        try:
            cluster.start()
        except Exception:
            keep_evidence(cluster, KEPT / "start")
            raise
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of one node that is not started yet, beside others that may run.

    It starts without our images, which take longest.
    """
    cluster = Cluster(Layout(ALONE, size=1), ImageStore(tmp_path / "images"))
    cluster.stop()
    yield cluster
    if request.node.stash.get(_FAILED, False):
        keep_evidence(cluster, KEPT / request.node.name)
    cluster.stop()


@pytest.fixture
def evidence(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """All logs, kept when the test failed."""
    yield
    if request.node.stash.get(_FAILED, False):
        keep_evidence(cluster, KEPT / request.node.name)


@pytest.fixture
def kubectl(cluster: Cluster, evidence: None) -> Iterator[Kubectl]:  # noqa: ARG001
    """Kubectl in a namespace that no other test has."""
    with cluster.kubectl.open_namespace() as inside:
        yield inside


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Demo:
    """The operator, by its chart, with an agent on each node."""
    demo = Demo(cluster)
    demo.clear()
    install(demo)
    return demo


@pytest.fixture
def replaceable(installed: Demo) -> Iterator[Demo]:
    """The same, for a test that removes it: it is there again afterwards."""
    yield installed
    installed.clear()
    install(installed)


@pytest.fixture
def simulate(cluster: Cluster) -> Callable[[World], World]:
    """Connects the cluster with a simulated Internet of a test's choice."""

    def connect(world: World) -> World:
        chosen = replace(world, vantage_points=cluster.layout.size)
        cluster.simulate(chosen)
        return chosen

    return connect
