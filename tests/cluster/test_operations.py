"""What docs/operations.md has people do, while a survey goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clustersurvey import Survey, finish_undisturbed
from devcluster.demo import ROOT
from docsreader import Reader, read_commands

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

PAGE = read_commands(ROOT / "docs" / "operations.md")


@pytest.mark.survival
def test_a_survey_outlives_that_the_stores_key_is_drawn_anew(
    cluster: Cluster, installed: Demo, kubectl: Kubectl, tmp_path: Path
) -> None:
    """Agents get other keys, and their old ones open nothing; no reply is lost."""
    before = installed.system.get("secret/anabranch-store")["data"]
    survey = Survey(cluster, installed, kubectl)
    survey.start()
    survey.wait_probing()
    reader = Reader.sit_down(tmp_path, cluster.layout.kubeconfig)
    reader.do(PAGE["To draw the store's key anew"])
    after = installed.system.get("secret/anabranch-store")["data"]
    assert after["AWS_SECRET_ACCESS_KEY"] != before["AWS_SECRET_ACCESS_KEY"]
    status, links = survey.finish()
    expected, known = finish_undisturbed(installed)
    assert links == known
    assert status["totals"]["probes"] == expected["totals"]["probes"]
