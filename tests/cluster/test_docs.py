"""What pages say of clusters, done command by command."""

from __future__ import annotations

import csv
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from devcluster.demo import ROOT, SYSTEM
from docsreader import Reader, read_commands
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from devcluster.demo import Demo

PART = "app.kubernetes.io/part-of=anabranch"
NAMESPACED = (
    "pods,jobs,deployments,services,configmaps,serviceaccounts,roles,rolebindings,"
    "secrets,networkpolicies,persistentvolumeclaims,probingpolicies"
)
CLUSTER_WIDE = (
    "clusterroles,clusterrolebindings,validatingadmissionpolicies,"
    "validatingadmissionpolicybindings,priorityclasses"
)

PAGE = read_commands(ROOT / "docs" / "install.md")
RESULTS = read_commands(ROOT / "docs" / "kubectl.md")["Results"]
RETENTION = read_commands(ROOT / "docs" / "retention.md")["In a cluster"]
OLD_SECONDS = 100 * 86400.0
"""More than the 90 days after which the page has runs removed."""


@pytest.fixture
def reader(replaceable: Demo, tmp_path: Path) -> Reader:
    """A reader at a cluster that has never heard of us."""
    reader = Reader.sit_down(tmp_path, replaceable.cluster.layout.kubeconfig)
    reader.do(PAGE["Remove all of it"])
    return reader


def list_left(demo: Demo) -> set[str]:
    """What there is of the release, and all that runs or waits in its namespace."""
    inside = demo.system.run("get", NAMESPACED, "--output=name", f"--selector={PART}")
    running = demo.system.run("get", "pods,jobs,leases", "--output=name")
    wide = demo.cluster.kubectl.run(
        "get", CLUSTER_WIDE, "--output=name", f"--selector={PART}"
    )
    return {*inside.split(), *running.split(), *wide.split()}


def read_reasons(demo: Demo) -> list[str]:
    """Why each Agent is ready, or is not."""
    path = '{.items[*].status.conditions[?(@.type=="Ready")].reason}'
    return demo.system.run("get", "agents", f"--output=jsonpath={path}").split()


def list_files(demo: Demo, measurement: str) -> list[Path]:
    """The files of the store's volume with objects of a Measurement's runs."""
    found = (demo.cluster.layout.folder / "tmp" / "hostpath_pv").rglob("*")
    return [file for file in found if measurement in file.parts and file.is_file()]


def copy_as_old(demo: Demo, measurement: str, name: str) -> None:
    """Has the store hold the runs of a Measurement twice, the copy since long ago."""
    then = time.time() - OLD_SECONDS
    for file in list_files(demo, measurement):
        parts = [name if part == measurement else part for part in file.parts]
        copy = Path(*parts)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
        os.utime(copy, (then, then))


def test_every_command_does_what_the_page_says(
    reader: Reader, replaceable: Demo, simulate: Callable[[World], World]
) -> None:
    """Installs, surveys, upgrades, goes back, removes, and finds the results again.

    Then results are read from here, and what is old leaves the store.
    """
    simulate(World(48, 0))
    demo, kubectl = replaceable, replaceable.cluster.kubectl
    for title in ("Install", "The first survey"):
        reader.do(PAGE[title])
    status = kubectl.get("measurement/demo")["status"]
    links = demo.read_links(status)
    assert links
    for title in ("Operate", "Back up", "Upgrade"):
        reader.do(PAGE[title])
    for name in ("anabranch.yaml", "store.yaml"):
        kept = yaml.safe_load((reader.folder / name).read_text())
        assert kept.get("items") or kept["data"]

    remove, *return_to = PAGE["Remove"]
    reader.do([remove])
    stays = {
        "persistentvolumeclaim/anabranch-store",
        "lease.coordination.k8s.io/anabranch-operator",
    }
    left = list_left(demo)
    # They belong to the Agents, which stay, and open no store any more.
    secrets = {name for name in left if name.startswith("secret/anabranch-agent-")}
    assert (left - secrets, len(secrets)) == (stays, len(read_reasons(demo)))
    assert set(read_reasons(demo)) == {"Uninstalled"}
    reader.do(return_to)
    assert set(read_reasons(demo)) == {"PodReady"}
    again = kubectl.get("measurement/demo")["status"]
    assert again["totals"] == status["totals"]
    assert again["completionTime"] == status["completionTime"]
    assert demo.read_links(again) == links

    reader.do(PAGE["Remove all of it"])
    wide = f"{CLUSTER_WIDE},customresourcedefinitions"
    assert not kubectl.run("get", wide, "--output=name", f"--selector={PART}")
    assert SYSTEM not in kubectl.run("get", "namespaces", "--output=name")

    reader.do(read_commands(ROOT / "README.md")["A survey in a cluster"])
    measurement = kubectl.get("measurement/demo")
    assert demo.read_links(measurement["status"]) == links

    reader.do_in_one_shell(RESULTS)
    with (reader.folder / "links.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert {(row["near_addr"], row["far_addr"]) for row in rows} == links
    for name in ("demo.svg", "demo.html"):
        assert (reader.folder / name).stat().st_size

    copy_as_old(demo, measurement["metadata"]["uid"], "old")
    assert list_files(demo, "old")
    reader.do(RETENTION)
    assert not list_files(demo, "old")
    assert demo.read_links(measurement["status"]) == links
