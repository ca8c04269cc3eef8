"""When a survey starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clustersurvey import Survey

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_a_survey_starts_at_its_time_with_all_that_it_takes(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Not before startAt, and not with fewer agents than minAgents.

    The time comes near once the survey waits for it: a slow cluster must not miss it.
    """
    survey = Survey(cluster, installed, kubectl)
    far = datetime.now(UTC) + timedelta(hours=1)
    survey.start(tool="yarrp", target="240.0.0.0/23", startAt=far.isoformat())
    survey.wait_reason("NotYet")
    assert kubectl.get("rounds")["items"] == []
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
    survey.change(startAt=start.isoformat())
    status, _ = survey.finish()
    assert datetime.fromisoformat(status["startTime"]) >= start


def test_a_survey_that_can_not_start_fails_after_its_deadline(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """With what it waited for.

    The deadline comes down once the survey waits for agents alone: until a Job has
    checked its target list, it waits for that, too.
    """
    survey = Survey(cluster, installed, kubectl)
    survey.start(minAgents=3, startDeadlineSeconds=600)
    survey.wait_reason("WaitingForAgents")
    survey.change(startDeadlineSeconds=1)
    kubectl.wait("measurement/survey", "condition=Failed")
    survey.wait_reason("StartDeadlineExceeded")
    kubectl.wait("measurement/survey", "condition=Stalled")
