"""Traces of a target list, on a real cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersurvey import Survey, finish_undisturbed

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

DESTINATIONS = 16
SURE = 1e-6


def test_destinations_are_traced_by_all_agents(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """All that is told counts destinations; the links are those of Diamond-Miner."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(
        rate=2000,
        tool="trace",
        parameters={"prefixLenV4": 24},
        failureProbability=SURE,
    )
    status, links = survey.finish()
    rounds = kubectl.get("rounds")["items"]
    plans = [each["spec"]["plan"] for each in rounds]
    assert [plan["destinations"] for plan in plans] == [DESTINATIONS] * 2
    assert not any("probes" in plan for plan in plans)
    assert status["targets"]["probed"] == 2 * DESTINATIONS
    assert {each["name"] for each in status["results"]} == {
        *("interfaces", "links", "diamonds", "traces")
    }
    traced = [each["status"]["destinationsTraced"] for each in rounds]
    assert traced == [DESTINATIONS] * 2
    _, known = finish_undisturbed(installed, rate=2000, failureProbability=SURE)
    assert len(links) > DESTINATIONS
    # Either may miss a link, at so low a probability hardly ever.
    assert len(links & known) > 0.98 * len(links)
