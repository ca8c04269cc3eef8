"""Whatever ends in the middle of a survey, it finds what it would have found."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from clustersurvey import (
    RATE,
    Links,
    Survey,
    are_silent,
    count_frames,
    finish_undisturbed,
)
from devcluster import faults
from devcluster.process import wait_until
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

WORLD = World(48, 0)
NOW = ("--grace-period=0", "--force")
SLOW_RATE = 25
"""So slow that a round of all TTLs takes longer than two minutes."""
SILENT_SECONDS = 42.0
"""An agent that is cut off is silent after 40 s; it looks twice a second."""


@pytest.fixture(scope="module")
def expected(cluster: Cluster, installed: Demo) -> tuple[dict[str, Any], Links]:
    """What a survey finds when nothing happens."""
    cluster.simulate(replace(WORLD, vantage_points=cluster.layout.size))
    return finish_undisturbed(installed)


def kill_operator(survey: Survey) -> None:
    """As a node that is out of memory does."""
    system = survey.demo.system
    system.run("delete", "pods", "-l", "app.kubernetes.io/component=operator", *NOW)


def kill_agent(survey: Survey) -> None:
    """Its container alone; kubelet starts it again."""
    pod = survey.demo.system.get("pod/anabranch-agent-paris")
    (status,) = pod["status"]["containerStatuses"]
    faults.kill_container(survey.cluster.nodes[0], status["containerID"])


def remove_agent_pod(survey: Survey) -> None:
    """The whole pod, with what it has not stored yet."""
    survey.demo.system.run("delete", "pod", "anabranch-agent-paris", *NOW)


def kill_round_job(survey: Survey) -> None:
    """The next one that runs."""
    wait_until("a step job", lambda: survey.find_pod("step-job") is not None, 120)
    label = "anabranch.dev/component=step-job"
    survey.demo.system.run("delete", "pods", "-l", label, *NOW)


def stop_kubelet(survey: Survey) -> None:
    """For half a minute: its node is missed, and its pods go on."""
    with faults.stop_service(survey.cluster.nodes[1], "kubelet"):
        time.sleep(30)


def kill_store(survey: Survey) -> None:
    """It comes back with its volume."""
    system = survey.demo.system
    system.run("delete", "pods", "-l", "app.kubernetes.io/component=store", *NOW)


def stop_api(survey: Survey) -> None:
    """For some seconds nobody is told anything."""
    with faults.stop_api(survey.cluster):
        time.sleep(15)


@pytest.mark.parametrize(
    "fault",
    [
        kill_operator,
        *(
            pytest.param(each, marks=pytest.mark.survival)
            for each in (
                kill_agent,
                remove_agent_pod,
                kill_round_job,
                stop_kubelet,
                kill_store,
                stop_api,
            )
        ),
    ],
)
def test_a_survey_survives(
    fault: Callable[[Survey], None],
    cluster: Cluster,
    installed: Demo,
    kubectl: Kubectl,
    expected: tuple[dict[str, Any], Links],
) -> None:
    """With the same links, no probe counted twice, and no child twice."""
    survey = Survey(cluster, installed, kubectl)
    survey.start()
    survey.wait_probing()
    fault(survey)
    check(survey, expected)


@pytest.mark.survival
def test_a_node_that_is_cut_off_is_silent_and_goes_on(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Within its 40 seconds, as seen on the wire; nobody else probes for it."""
    expected = finish_undisturbed(installed, tool="yarrp", rate=10 * RATE)
    survey, node = Survey(cluster, installed, kubectl), cluster.nodes[0]
    survey.start(tool="yarrp", rate=SLOW_RATE)
    survey.wait_probing()
    with faults.unplug(cluster, node):
        begin = time.monotonic()
        time.sleep(SILENT_SECONDS / 2)
        before = count_frames(node)
        time.sleep(2)
        assert count_frames(node) > before
        time.sleep(max(begin + SILENT_SECONDS - time.monotonic(), 0))
        assert are_silent([node], 8)
    check(survey, expected)


def check(survey: Survey, expected: tuple[dict[str, Any], Links]) -> None:
    """Whether a survey ends as it should."""
    status, links = survey.finish()
    before, known = expected
    assert links == known
    assert status["totals"] == before["totals"]
    assert status["agents"] == before["agents"]
    rounds = survey.kubectl.get("rounds")["items"]
    steps = [
        (each["spec"]["agent"], each["spec"]["round"], each["spec"].get("window", 0))
        for each in rounds
    ]
    assert len(steps) == len(set(steps))
    with contextlib.suppress(RuntimeError):
        survey.kubectl.run("delete", "measurement", "survey")
