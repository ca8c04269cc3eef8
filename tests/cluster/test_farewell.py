"""A release that is removed in the middle of a survey, and installed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clustersurvey import (
    NOISE,
    Survey,
    are_silent,
    count_frames,
    finish_undisturbed,
)

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

RATE = 100
"""So slow that there is something left when the release goes."""


@pytest.mark.survival
def test_a_survey_outlives_its_release(
    cluster: Cluster, replaceable: Demo, kubectl: Kubectl
) -> None:
    """Agents store all that they have before the store goes, and none goes on."""
    expected, known = finish_undisturbed(replaceable, tool="yarrp", rate=10 * RATE)
    frames = sum(map(count_frames, cluster.nodes))
    survey = Survey(cluster, replaceable, kubectl)
    survey.start(tool="yarrp", rate=RATE)
    survey.wait_probing()
    replaceable.helm("uninstall", "anabranch")
    assert are_silent(cluster.nodes)
    assert {find_reason(each) for each in read_rounds(kubectl)} == {"AgentStopped"}
    replaceable.install()
    status, links = survey.finish()
    assert links == known
    assert status["totals"] == expected["totals"]
    # What had been sent was stored, and was not sent once more.
    sent = sum(map(count_frames, cluster.nodes)) - frames
    assert sent < status["totals"]["probes"] + NOISE


def read_rounds(kubectl: Kubectl) -> list[dict[str, Any]]:
    """All Rounds that there are."""
    found: list[dict[str, Any]] = kubectl.get("rounds")["items"]
    return found


def find_reason(found: dict[str, Any]) -> str:
    """Why a Round is ready, or is not."""
    (ready,) = (c for c in found["status"]["conditions"] if c["type"] == "Ready")
    return str(ready["reason"])
