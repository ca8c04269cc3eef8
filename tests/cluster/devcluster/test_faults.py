"""What breaks on demand, and comes back."""

from __future__ import annotations

import time
from string import Template
from typing import TYPE_CHECKING

import pytest

from devcluster import faults
from devcluster.process import succeeds, wait_until
from devcluster.project import OPERATOR_IMAGE

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.kubectl import Kubectl

NOT_READY_SECONDS = 60.0
TICKER = Template("""\
apiVersion: v1
kind: Pod
metadata: {name: ticker}
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 0
  containers:
  - name: ticker
    image: $image
    command: [sh, -c, "while date +%s.%N; do sleep 0.5; done"]
""").substitute(image=OPERATOR_IMAGE)


@pytest.fixture
def ticker(kubectl: Kubectl) -> Kubectl:
    """Kubectl in a namespace with a pod on the first node that tells the time."""
    kubectl.apply(TICKER)
    kubectl.wait("pod/ticker", "condition=Ready")
    return kubectl


def count_restarts(kubectl: Kubectl) -> int:
    """How often the ticker's container was started again."""
    (status,) = kubectl.get("pod", "ticker")["status"]["containerStatuses"]
    count: int = status["restartCount"]
    return count


def is_ready(cluster: Cluster, node: str) -> bool:
    """Whether a node says so, or is said not to be."""
    conditions = cluster.kubectl.get("node", node)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_pods_go_on_without_an_api_server(cluster: Cluster, ticker: Kubectl) -> None:
    """Nobody can ask, and nothing stops."""
    with faults.stop_api(cluster):
        assert not succeeds(*ticker.list_words("get", "pods"))
        begin = time.time()
        time.sleep(2)
        end = time.time()
    ticks = [float(tick) for tick in ticker.run("logs", "ticker").split()]
    assert sum(begin < tick < end for tick in ticks) >= 1
    assert count_restarts(ticker) == 0


def test_a_slow_api_takes_its_time_both_ways(cluster: Cluster, ticker: Kubectl) -> None:
    """A request and its answer are late by twice the delay, and whole."""
    before = ticker.get("pod", "ticker")["spec"]
    with faults.delay_api(cluster, seconds=0.5):
        begin = time.monotonic()
        assert ticker.get("pod", "ticker")["spec"] == before
        # Saying hello takes as much again, for the connection's encryption.
        assert time.monotonic() - begin > 1.5


def test_a_killed_container_starts_again(cluster: Cluster, ticker: Kubectl) -> None:
    """Kubelet sees to it."""
    (status,) = ticker.get("pod", "ticker")["status"]["containerStatuses"]
    faults.kill_container(cluster.nodes[0], status["containerID"])
    wait_until("a restart", lambda: count_restarts(ticker) == 1, 30)


@pytest.mark.parametrize("fault", ["kubelet", "link"])
def test_a_lost_node_is_noticed_and_comes_back(
    cluster: Cluster, ticker: Kubectl, fault: str
) -> None:
    """Its pods go on meanwhile, whether its kubelet is gone or its cable."""
    node = cluster.nodes[0]
    broken = (
        faults.stop_service(node, "kubelet")
        if fault == "kubelet"
        else faults.unplug(cluster, node)
    )
    with broken:
        lost = lambda: not is_ready(cluster, "n1")  # noqa: E731
        wait_until("the node to be missed", lost, NOT_READY_SECONDS)
    wait_until("the node", lambda: is_ready(cluster, "n1"), NOT_READY_SECONDS)
    assert count_restarts(ticker) == 0


def test_a_node_comes_back_from_a_power_cut(cluster: Cluster, ticker: Kubectl) -> None:
    """With its pods, started again, and its way into the Internet."""
    node = cluster.nodes[0]
    with faults.switch_off(cluster, node):
        assert not node.is_running()
    wait_until("the pod", lambda: count_restarts(ticker) == 1, 60)
    ticker.wait("pod/ticker", "condition=Ready")
    ping = node.enter("ping", "-c", "1", "-W", "2", "240.0.0.1")
    wait_until("its way into the Internet", lambda: succeeds(*ping), 60)


def test_a_control_plane_comes_back_from_a_power_cut(
    cluster: Cluster, ticker: Kubectl
) -> None:
    """With all that it knew, and without a node noticing."""
    machines = [node.daemon.find_pid() for node in cluster.nodes]
    with faults.switch_off(cluster, cluster.control_plane):
        assert not succeeds(*ticker.list_words("get", "pods"))
    assert [node.daemon.find_pid() for node in cluster.nodes] == machines
    assert count_restarts(ticker) == 0
