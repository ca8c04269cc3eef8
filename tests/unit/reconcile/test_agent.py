from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from anabranch.api import Agent
from anabranch.reconcile.agent import decide_agent
from anabranch.reconcile.views import PodView

NOW = datetime(2026, 12, 1, tzinfo=UTC)
AGENT = Agent.read(
    {
        "apiVersion": "anabranch.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "ghost", "namespace": "system", "uid": "1"},
        "spec": {"nodeName": "n9"},
    }
)
POD = PodView(
    name="anabranch-agent-ghost",
    uid="pod",
    template="new",
    created_at=NOW,
    phase="Pending",
    is_placed=False,
    is_ready=False,
    is_going=False,
    image="agent:1",
    message="0/2 nodes are available",
)


def tell(pod: PodView) -> str:
    """What is said of an agent with such a pod."""
    status = decide_agent(AGENT, pod, "new", 0, NOW).status
    (ready,) = (each for each in status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "PodNotReady")
    return ready.message


def test_an_agent_whose_node_is_not_there_names_it() -> None:
    """The scheduler speaks of all nodes but this one."""
    assert tell(POD) == (
        "no node 'n9' takes its pod; see that it is there: 0/2 nodes are available"
    )
    assert tell(replace(POD, is_placed=True)) == "0/2 nodes are available"


def test_a_pod_does_not_wait_for_rounds_that_have_no_end() -> None:
    """It waits for others as always."""
    old = replace(POD, is_ready=True, template="old")
    standing = decide_agent(AGENT, old, "new", 1, NOW, standing=1)
    assert standing.deletes == old
    assert standing.status.active_rounds == 1
    assert decide_agent(AGENT, old, "new", 2, NOW, standing=1).deletes is None


def test_a_pod_with_other_credentials_does_not_wait() -> None:
    """The store may not know them any more, so its rounds would never end."""
    old = replace(POD, is_ready=True, template="old", credentials="store")
    assert decide_agent(AGENT, old, "new", 2, NOW, credentials="store").deletes is None
    assert decide_agent(AGENT, old, "new", 2, NOW, credentials="own").deletes == old


def test_an_agent_says_whether_its_credentials_are_its_own() -> None:
    """By a condition that can be waited for, whatever its pod does."""
    for confined, told in (
        (True, ("True", "OwnCredentials")),
        (False, ("False", "SharedCredentials")),
    ):
        status = decide_agent(AGENT, None, "new", 0, NOW, confined=confined).status
        (condition,) = (c for c in status.conditions if c.type == "StoreConfined")
        assert (condition.status, condition.reason) == told
