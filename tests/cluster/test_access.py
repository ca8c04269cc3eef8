"""What somebody can do to the store who has taken over an agent's pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devcluster.demo import Demo

ASK = """
import os
from anabranch.store.environment import open_store
store = open_store(os.environ)
own, other = os.environ["ANABRANCH_AGENT"], "surveys/uid/run/links.parquet"
assert list(store.list(f"agents/{own}/uid/run/001-00/replies")) == []
for attempt in (
    lambda: list(store.list("surveys")),
    lambda: store.get(other),
    lambda: store.put(other, b""),
    lambda: store.put("agents/nobody/uid/run/001-00/replies/00000/0.parquet", b""),
):
    try:
        attempt()
    except OSError as error:
        print("refused" if "AccessDenied" in str(error) else error)
    else:
        print("allowed")
"""


def test_an_agents_pod_reaches_its_own_steps_alone(installed: Demo) -> None:
    """By a user of the embedded store that the operator has made for it."""
    installed.wait_agents()
    system = installed.system
    system.run("wait", "agents", "--all", "--for=condition=StoreConfined")
    pods = system.list_pods("anabranch.dev/component=agent")
    assert len(pods) == 2
    for pod in pods:
        name = pod["metadata"]["name"]
        told = system.run("exec", name, "--", "python", "-c", ASK)
        assert told.split() == ["refused"] * 4
