"""From the release before to this one and back, in the middle of a survey."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from clustersurvey import Survey, finish_undisturbed
from devcluster.demo import VALUES
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

BEFORE = "0.2.0"
RELEASE = Path(__file__).parents[1] / "chart" / "releases" / BEFORE


def write_chart(folder: Path) -> Path:
    """The chart of the release before, as it was rendered, for this cluster.

    Its images are those that there are; so this is about objects, not about code.
    """
    values = yaml.safe_load(VALUES.read_text())
    text = (RELEASE / "rendered.yaml").read_text()
    for name in ("operator", "agent"):
        text = text.replace(f"anabranch/{name}:{BEFORE}", f"anabranch/{name}:dev")
    objects = [each for each in yaml.safe_load_all(text) if each]
    for each in objects:
        if each["metadata"]["name"] == "anabranch-policy" and "data" in each:
            policy = yaml.safe_load(each["data"]["policy.yaml"])
            policy["spec"] |= values["policy"]
            each["data"]["policy.yaml"] = yaml.safe_dump(policy)
        if each["kind"] == "Deployment" and each["metadata"]["name"].endswith("-store"):
            root = {"runAsNonRoot": False, "runAsUser": 0}
            each["spec"]["template"]["spec"]["securityContext"] |= root
    about = {"apiVersion": "v2", "name": "anabranch", "version": BEFORE}
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about))
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    template = folder / "templates" / "objects.yaml"
    template.write_text('{{ .Files.Get "objects.yaml" }}')
    return folder


@pytest.mark.survival
def test_a_survey_outlives_an_upgrade_and_a_rollback(
    cluster: Cluster,
    replaceable: Demo,
    kubectl: Kubectl,
    simulate: Callable[[World], World],
    tmp_path: Path,
) -> None:
    """It finds the links that an undisturbed one finds, with as many probes."""
    replaceable.helm("uninstall", "anabranch")
    simulate(World(48, 0))
    replaceable.install(chart=write_chart(tmp_path))
    replaceable.wait_agents()
    expected = finish_undisturbed(replaceable)
    survey = Survey(cluster, replaceable, kubectl)
    survey.start()
    survey.wait_probing()
    replaceable.install()
    check(survey, expected)
    survey.change(runId="back")
    survey.wait_probing()
    replaceable.helm("rollback", "anabranch", "1")
    check(survey, expected)


def check(
    survey: Survey, expected: tuple[dict[str, Any], set[tuple[str, str]]]
) -> None:
    """Whether a survey ends as an undisturbed one."""
    status, links = survey.finish()
    before, known = expected
    assert links == known
    assert status["totals"] == before["totals"]
    assert status["agents"] == before["agents"]
