"""An object that has the name of a child."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clustersurvey import Survey

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_an_object_in_the_way_is_left_alone(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """The survey says whose name it needs, and goes on once it has it."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/23", rate=40)
    survey.wait_probing()
    installed.system.run("scale", "deployment/anabranch-operator", "--replicas=0")
    try:
        child = kubectl.get("rounds")["items"][0]
        name = child["metadata"]["name"]
        kubectl.run("delete", "round", name)
        child["metadata"] = {"name": name}
        child["spec"]["measurement"] = {"name": "another", "uid": "another"}
        kubectl.apply(json.dumps(child))
    finally:
        installed.system.run("scale", "deployment/anabranch-operator", "--replicas=1")
    survey.wait_reason("NameTaken", 120)
    kubectl.wait("measurement/survey", "condition=Stalled")
    message = str(kubectl.get("measurement/survey")["status"]["conditions"])
    assert name in message
    assert kubectl.get("round", name)["spec"]["measurement"]["name"] == "another"
    kubectl.run("delete", "round", name)
    survey.finish()
