"""What docs/install.md and the README say of clusters, done command by command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from devcluster.binaries import HELM, KUBE, build
from devcluster.demo import ROOT, SURVEY, SYSTEM, VALUES
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

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


def read_commands(page: Path) -> dict[str, list[str]]:
    """The commands of each section of a page: its indented lines."""
    sections: dict[str, list[str]] = {}
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    for section in re.split(r"(?m)^## ", text.replace("\\\n", ""))[1:]:
        title, _, body = section.partition("\n")
        sections[title] = re.findall(r"(?m)^    (\S.*)$", body)
    return sections


PAGE = read_commands(ROOT / "docs" / "install.md")


@dataclass(frozen=True)
class Reader:
    """Somebody who does what a page says, with a ``values.yaml`` of this cluster's."""

    folder: Path
    kubeconfig: Path

    @classmethod
    def sit_down(cls, folder: Path, kubeconfig: Path) -> Reader:
        """At a folder that looks like the project's, with a survey of one step."""
        for name in ("charts", "crds"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / "values.yaml").symlink_to(VALUES)
        survey = list(yaml.safe_load_all(SURVEY.read_text()))
        for each in survey:
            if each["kind"] == "TargetList":
                each["spec"]["entries"] = [{"target": "240.0.0.0/22"}]
            elif each["kind"] == "Measurement":
                each["spec"]["yarrp"] = each["spec"].pop("diamondMiner")
        (folder / "survey.yaml").write_text(yaml.safe_dump_all(survey))
        (folder / "helm").symlink_to(build(HELM))
        kubectl = folder / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {build(KUBE)} kubectl "$@"\n')
        kubectl.chmod(0o755)
        return cls(folder, kubeconfig)

    def do(self, commands: Iterable[str]) -> None:
        """Runs commands, each of which must succeed."""
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = {"PATH": path, "KUBECONFIG": str(self.kubeconfig)}
        home = {"HOME": str(self.folder)}
        for command in commands:
            assert command.startswith(("helm ", "kubectl ")), command
            done = subprocess.run(
                ("sh", "-euc", command),
                check=False,
                cwd=self.folder,
                env=environment | home,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"


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


def test_every_command_does_what_the_page_says(
    reader: Reader, replaceable: Demo, simulate: Callable[[World], World]
) -> None:
    """Installs, surveys, upgrades, goes back, removes, and finds the results again."""
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
    assert demo.read_links(kubectl.get("measurement/demo")["status"]) == links
