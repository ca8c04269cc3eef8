"""A survey that only counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersurvey import NOISE, Survey, count_frames

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_a_dry_run_counts_and_sends_nothing(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """The Measurement says how much it would be; no Round is made, no frame sent."""
    survey = Survey(cluster, installed, kubectl)
    before = [count_frames(node) for node in cluster.nodes]
    survey.start(tool="yarrp", target="240.0.0.0/23", dryRun=True)
    kubectl.wait("measurement/survey", "condition=Complete")
    found = kubectl.get("measurement/survey")["status"]
    (ready,) = (each for each in found["conditions"] if each["type"] == "Ready")
    assert ready["reason"] == "DryRun"
    assert "2 agents would send 744 probes to 4 targets" in ready["message"]
    assert "startTime" not in found
    assert kubectl.get("rounds")["items"] == []
    after = [count_frames(node) for node in cluster.nodes]
    # An agent would send 372 probes.
    assert all(now - then < NOISE for now, then in zip(after, before, strict=True))
