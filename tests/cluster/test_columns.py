"""What kubectl shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clustersurvey import Survey

if TYPE_CHECKING:
    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl


def test_kubectl_tells_the_story(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Columns of each kind, and events of each change, none twice."""
    survey = Survey(cluster, installed, kubectl)
    survey.start(tool="yarrp", target="240.0.0.0/23", rate=40)
    survey.wait_probing()
    rounds = show(kubectl, "rnd")
    assert {row["AGENT"] for row in rounds} == {"paris", "tokyo"}
    assert {row["READY"] for row in rounds} == {"True"}
    survey.finish()
    (msm,) = show(kubectl, "msm")
    assert (msm["READY"], msm["AGENTS"]) == ("True", "2/2")
    (wide,) = show(kubectl, "msm", "--output=wide")
    assert wide["REASON"] == "Completed"
    (targets,) = show(kubectl, "tl")
    assert (targets["READY"], targets["PREFIXES"]) == ("True", "2")
    agents = show(installed.system, "agt")
    assert {row["NODE"] for row in agents} == {"n1", "n2"}
    told = kubectl.run("describe", "measurement", "survey")
    events = told.partition("Events:")[2]
    for reason in ("Started", "Completed"):
        assert events.count(reason) == 1


def show(kubectl: Kubectl, *words: str) -> list[dict[str, str]]:
    """The rows of a table, by its headings."""
    head, *lines = kubectl.run("get", *words).splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", head)]
    ends = [*starts[1:], None]
    cells = [slice(*ends) for ends in zip(starts, ends, strict=True)]
    return [{head[c].strip(): line[c].strip() for c in cells} for line in lines]
