"""A Measurement that is deleted while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersurvey import Survey, are_silent
from devcluster.process import wait_until

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_a_deleted_survey_sends_nothing_more_and_leaves_no_child(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Within seconds, and its namespace does not hang."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", rate=100)
    survey.wait_probing()
    uid = kubectl.get("measurement/survey")["metadata"]["uid"]
    kubectl.run("delete", "measurement", "survey", "--timeout=20s")
    wait_until("silence", lambda: are_silent(cluster.nodes), 10)
    assert kubectl.get("rounds")["items"] == []
    selector = f"--selector=anabranch.dev/measurement-uid={uid}"

    def are_gone() -> bool:
        return not installed.system.get("jobs,pods", selector)["items"]

    wait_until("Jobs and their pods to go", are_gone, 30)
    kubectl.run("delete", "namespace", kubectl.namespace, "--timeout=60s")
