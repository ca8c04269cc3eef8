"""The ProbingPolicy, on the wire."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clustersurvey import Survey, are_silent

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

OBEYED_SECONDS = 3.0


def test_a_stop_is_obeyed_within_seconds(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """By agents in the middle of a round, which go on once it is taken back."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/21", rate=100)
    survey.wait_probing()
    patch = '{"spec":{"stop":%s}}'
    words = ("patch", "probingpolicy", "default", "--type=merge", "--patch")
    installed.system.run(*words, patch % "true")
    try:
        time.sleep(OBEYED_SECONDS)
        assert are_silent(cluster.nodes)
        survey.wait_reason("ProbingStopped")
    finally:
        installed.system.run(*words, patch % "false")
    status, links = survey.finish()
    assert status["agents"]["finished"] == 2
    assert links
