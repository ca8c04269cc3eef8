"""Nodes that are drained one after the other, as for an upgrade of the cluster."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from clustersurvey import Survey, finish_undisturbed
from devcluster.process import wait_until
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

FLAGS = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
"""Not ``--force``, which is for pods that nobody makes again."""
RATE = 100
"""So slow that the only round takes half a minute, and both drains less."""
PART = "app.kubernetes.io/part-of=anabranch"


@contextlib.contextmanager
def drain(kubectl: Kubectl, node: str) -> Iterator[str]:
    """Takes a node out for as long as a ``with`` lasts; gives what kubectl says."""
    try:
        yield kubectl.run("drain", node, *FLAGS)
    finally:
        kubectl.run("uncordon", node)


def find_ready(demo: Demo, node: str) -> list[dict[str, Any]]:
    """Our pods on a node that are ready."""
    return [
        pod
        for pod in demo.system.list_pods(PART)
        if pod["spec"].get("nodeName") == node
        for condition in pod["status"].get("conditions", [])
        if (condition["type"], condition["status"]) == ("Ready", "True")
    ]


def has_another_agent(demo: Demo, node: str, before: list[str]) -> bool:
    """Whether an agent's pod that was not there before is all that is ready."""
    found = [pod["metadata"] for pod in find_ready(demo, node)]
    names = [each["name"].startswith("anabranch-agent-") for each in found]
    return names == [True] and found[0]["uid"] not in before


@pytest.mark.survival
def test_a_survey_outlives_the_drain_of_each_node(
    cluster: Cluster,
    installed: Demo,
    kubectl: Kubectl,
    simulate: Callable[[World], World],
) -> None:
    """Each pod is evicted once; agents come back at once, and count nothing twice."""
    simulate(World(48, 0))
    expected, known = finish_undisturbed(installed, tool="yarrp", rate=10 * RATE)
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", rate=RATE)
    evicted = ""
    for node in ("n1", "n2"):
        survey.wait_probing()
        pods = [pod["metadata"]["uid"] for pod in find_ready(installed, node)]
        with drain(cluster.kubectl, node) as told:
            evicted += told
            wait_until(
                "the agent alone to be back",
                partial(has_another_agent, installed, node, pods),
                30,
            )
        for name in ("operator", "store"):
            deployment = f"deployment/anabranch-{name}"
            installed.system.run("rollout", "status", deployment, "--timeout=60s")
    for name in ("agent-paris", "agent-tokyo", "operator", "store"):
        assert f"evicting pod anabranch-system/anabranch-{name}" in evicted
    status, links = survey.finish()
    assert links == known
    assert status["totals"] == expected["totals"]
    assert status["agents"] == expected["agents"]
