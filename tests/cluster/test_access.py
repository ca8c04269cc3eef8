"""What somebody can do to the store who has taken over an agent's pod."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from clustersurvey import Survey

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

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


def test_no_log_tells_a_secret(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Of the operator, agents, Jobs and the store, while a survey goes on and after."""
    installed.wait_agents()
    system = installed.system
    survey = Survey(cluster, installed, kubectl)
    survey.start()
    survey.wait_probing()
    logs = read_logs(system)
    survey.finish()
    logs += read_logs(system)
    secrets = json.loads(system.run("get", "secrets", "--output=json"))["items"]
    values = {
        base64.b64decode(value).decode(errors="replace")
        for secret in secrets
        for name, value in secret.get("data", {}).items()
        if name == "AWS_SECRET_ACCESS_KEY"
    }
    assert len(values) > 2
    assert "operator" in logs
    assert not [value for value in values if value in logs]


def read_logs(system: Kubectl) -> str:
    """What all containers have written so far."""
    pods = json.loads(system.run("get", "pods", "--output=json"))["items"]
    return "".join(
        system.run("logs", pod["metadata"]["name"], "--all-containers")
        for pod in pods
        if pod["status"]["phase"] != "Pending"
    )
