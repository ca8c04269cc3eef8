"""A survey that takes too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersurvey import Survey, are_silent

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_a_survey_that_takes_too_long_delivers_what_it_found(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Agents stop, their last parts are looked at, and it fails with its results."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/21", rate=20)
    # Of 1,536 slots, so that flows have replies at neighbouring TTLs.
    survey.wait_replies(300)
    survey.change(activeDeadlineSeconds=1)
    kubectl.wait("measurement/survey", "condition=Failed", 120)
    survey.wait_reason("DeadlineExceeded")
    status = kubectl.get("measurement/survey")["status"]
    assert status["totals"]["links"] == len(installed.read_links(status)) > 0
    assert are_silent(cluster.nodes)
