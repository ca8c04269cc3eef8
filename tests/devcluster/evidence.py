"""What happened in a cluster, kept for people to look into."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.cluster import Cluster


def keep_evidence(cluster: Cluster, folder: Path) -> None:
    """Copies all logs of machines and pods to a folder, with objects and events."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for machine in cluster.machines:
        # The links in containers/ lead to pods/, by paths that only machines know.
        ignore = shutil.ignore_patterns("containers")
        logs = machine.folder / "var" / "log"
        if logs.exists():
            shutil.copytree(logs, folder / machine.member.name, ignore=ignore)
    for log in cluster.layout.folder.glob("*.log"):
        shutil.copy(log, folder)
    for kind in ("anabranch", "events", "pods", "jobs", "deployments", "nodes"):
        options = ("--all-namespaces", "--output=yaml")
        try:
            said = cluster.kubectl.run("get", kind, *options)
        except RuntimeError as error:
            said = str(error)
        (folder / f"{kind}.yaml").write_text(said)
