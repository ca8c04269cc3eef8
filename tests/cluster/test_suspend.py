"""A survey that is suspended, on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersurvey import Survey, are_silent

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_a_suspended_survey_sends_nothing_and_goes_on(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Before its start there is nothing; in a round, agents that say so are silent."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/22", rate=100, suspend=True)
    survey.wait_reason("Suspended")
    kubectl.wait("measurement/survey", "condition=Suspended")
    assert kubectl.get("rounds")["items"] == []
    survey.change(suspend=False)
    survey.wait_probing()
    survey.change(suspend=True)
    survey.wait_reason("Suspended")
    survey.wait_agents("Suspended")
    assert are_silent(cluster.nodes)
    survey.change(suspend=False)
    status, links = survey.finish()
    assert status["agents"]["finished"] == 2
    assert links
