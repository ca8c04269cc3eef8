"""A system namespace that lets no privileged pods in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devcluster.demo import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devcluster.demo import Demo

LABEL = "pod-security.kubernetes.io/enforce"


@pytest.fixture
def strict(installed: Demo) -> Iterator[Demo]:
    """The operator in a namespace that enforces the baseline."""
    kubectl = installed.cluster.kubectl
    kubectl.run("label", "namespace", SYSTEM, f"{LABEL}=baseline")
    yield installed
    kubectl.run("label", "namespace", SYSTEM, f"{LABEL}-")
    installed.wait_agents()


def test_an_agent_says_which_label_its_pod_lacks(strict: Demo) -> None:
    """And has its pod once the namespace has it."""
    strict.system.run("delete", "pod", "anabranch-agent-paris")
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
    strict.system.wait("agent/paris", f"{path}=PodForbidden", 30)
    (told,) = (
        each["message"]
        for each in strict.system.get("agent/paris")["status"]["conditions"]
        if each["type"] == "Ready"
    )
    assert "violates PodSecurity" in told
    assert LABEL in told
    label = f"{LABEL}=privileged"
    strict.cluster.kubectl.run("label", "namespace", SYSTEM, "--overwrite", label)
    strict.system.wait("agent/paris", "condition=Ready", 60)
