"""Agents with less than all privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clustersurvey import Survey, finish_undisturbed
from devcluster.process import run_tool, wait_until

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


@pytest.mark.survival
def test_raw_sockets_are_enough(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Pods are replaced by those with two capabilities, which probe as well."""
    before, expected = finish_undisturbed(installed, tool="yarrp", rate=2000)
    assert is_privileged(installed) == {True}
    installed.install("--set=agents.privileged=false")
    try:
        wait_until("other pods", lambda: is_privileged(installed) == {False}, 120)
        installed.wait_agents()
        for node in cluster.nodes:
            # Of those that the kernel has, as bits: NET_ADMIN is 12, NET_RAW 13.
            assert read_capabilities(installed, node.member.name) == 1 << 12 | 1 << 13
        survey = Survey(cluster, installed, kubectl)
        survey.start(tool="yarrp", rate=2000)
        after, links = survey.finish()
        assert links == expected
        assert after["totals"] == before["totals"]
    finally:
        installed.install()
        wait_until(
            "the pods of before", lambda: is_privileged(installed) == {True}, 120
        )
        installed.wait_agents()


def is_privileged(installed: Demo) -> set[bool]:
    """Whether agents' containers are."""
    pods = installed.system.list_pods("anabranch.dev/component=agent")
    return {
        container["securityContext"]["privileged"]
        for pod in pods
        for container in pod["spec"]["containers"]
    }


def read_capabilities(installed: Demo, node: str) -> int:
    """The capabilities of the agent on a node."""
    pods = installed.system.list_pods("anabranch.dev/component=agent")
    (name,) = (
        pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node
    )
    words = installed.system.list_words("exec", name, "--", "cat", "/proc/1/status")
    lines = run_tool(*words).splitlines()
    (line,) = (line for line in lines if line.startswith("CapEff:"))
    return int(line.split()[1], 16)
