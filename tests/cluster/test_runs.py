"""A survey that is applied again, and one that is run again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from clustersurvey import Survey
from devcluster.process import wait_until

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_what_is_applied_again_changes_nothing_but_a_new_run_id_does(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """The same manifest leaves each object as it is; another runId has new Rounds."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/23")
    before, links = survey.finish()
    contents = read_contents(kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/23")
    time.sleep(5)
    assert read_contents(kubectl) == contents
    with pytest.raises(RuntimeError, match="runId"):
        survey.change(minAgents=1)
    survey.change(runId="again", ttlSecondsAfterFinished=1)
    kubectl.wait("measurement/survey", "jsonpath={.status.runId}=again")
    after, again = survey.finish()
    assert after["runId"] == "again"
    assert after["totals"] == before["totals"]
    assert again == links
    gone = "no Round, of this run or the one before"
    wait_until(gone, lambda: kubectl.get("rounds")["items"] == [], 30)
    assert kubectl.get("measurement/survey")["status"]["results"] == after["results"]


def read_contents(kubectl: Kubectl) -> dict[str, Any]:
    """What each object says, and is said of it.

    Its version is left out: the API server counts up that of a list whose entries it
    completed, even if the same is applied again.
    """
    items = kubectl.get("measurements,targetlists,rounds")["items"]
    return {each["metadata"]["uid"]: (each["spec"], each["status"]) for each in items}
