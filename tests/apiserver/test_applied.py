"""Objects that tools apply again and again, while the operator says how they are."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from devcluster.kubectl import Kubectl
from examples import EXAMPLES as OURS
from gitops.kustomize import render
from gitops.verdicts import EXAMPLES
from stage import QUIET_SECONDS
from theatre import LIST, NODES, POLICY, operating

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

OPERATOR = "anabranch-operator"
TOOLS = {
    "flux": ("--server-side", "--force-conflicts", "--field-manager=flux"),
    "argocd": ("--server-side", "--field-manager=argocd-controller"),
    "client": (),
}
OVERLAYS = sorted((EXAMPLES / "overlays").iterdir())


def write_manifests(stage: Stage) -> str:
    """A survey, as it is in Git: without anything that has a default."""
    system, user = stage.settings.namespace, stage.namespace
    agents = [
        ("Agent", name, system, {"nodeName": node, "allowReserved": True})
        for name, node in zip(("paris", "tokyo"), NODES, strict=True)
    ]
    everyone = {"name": "all", "selector": {}, "targetList": "list"}
    survey = {"diamondMiner": {}, "agents": [everyone], "minAgents": 2, "maxRounds": 2}
    found = [
        ("ProbingPolicy", "default", system, POLICY),
        *agents,
        ("TargetList", "list", user, LIST),
        ("Measurement", "survey", user, survey),
    ]
    return yaml.safe_dump_all(
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        for kind, name, namespace, spec in found
    )


def move(manifest: dict[str, Any], theatre: Theatre) -> dict[str, Any]:
    """An object of the examples, in the namespaces of a test."""
    names = {"anabranch-system": theatre.system.name, "research": theatre.user.name}
    metadata = manifest["metadata"]
    here = {"namespace": names[metadata["namespace"]]}
    return manifest | {"metadata": metadata | here}


async def call(kubectl: Kubectl, *words: str, stdin: str) -> str:
    """What kubectl says, while others go on."""
    return await asyncio.to_thread(kubectl.run, *words, "--filename=-", stdin=stdin)


async def list_managers(stage: Stage) -> dict[str, set[str]]:
    """The top-level fields that each manager has set of what was applied."""
    managers: dict[str, set[str]] = {}
    kinds = {"ProbingPolicy": True, "Agent": True, "TargetList": False}
    for kind, is_of_system in (kinds | {"Measurement": False}).items():
        namespace = stage.settings.namespace if is_of_system else stage.namespace
        for found in await stage.find_all(kind, namespace):
            for entry in found["metadata"]["managedFields"]:
                fields = managers.setdefault(entry["manager"], set())
                fields.update(entry["fieldsV1"])
    return managers


@pytest.mark.parametrize("tool", ["flux", "client"])
def test_nobody_takes_from_another(theatre: Theatre, tool: str) -> None:
    """What is applied again changes no object, and differs from none."""
    kubectl = Kubectl(Path(os.environ["KUBECONFIG"]))
    options = TOOLS[tool]

    async def act(stage: Stage) -> None:
        manifests = write_manifests(stage)

        async def apply() -> str:
            return await call(kubectl, "apply", *options, stdin=manifests)

        async with operating(stage):
            for _ in range(5):
                await apply()
            await stage.wait_condition("survey", "Complete")
            # The API server sorts managers by time, and may do so once more.
            await apply()
            before = await stage.settle()
            for _ in range(2):
                await apply()
                await asyncio.sleep(QUIET_SECONDS)
            assert await stage.take_versions() == before
            survey = await stage.get("Measurement", "survey")
            assert survey["metadata"]["generation"] == 1
            # It fails where there is a difference.
            assert not await call(kubectl, "diff", *options, stdin=manifests)
            managers = await list_managers(stage)
        assert managers.pop(OPERATOR) == {"f:status"}
        (fields,) = managers.values()
        assert "f:spec" in fields
        assert "f:status" not in fields

    theatre.play(act)


@pytest.mark.parametrize("tool", ["flux", "argocd"])
def test_a_stop_and_opt_outs_by_hand_stay(theatre: Theatre, tool: str) -> None:
    """Git does not say that nothing is stopped, and its exclusions are merged."""
    kubectl = Kubectl(Path(os.environ["KUBECONFIG"]), namespace=theatre.system.name)
    (policy,) = (
        each for each in render(OVERLAYS[0]) if each["kind"] == "ProbingPolicy"
    )
    manifest = yaml.safe_dump(move(policy, theatre))
    apply = ("apply", *TOOLS[tool], "--filename=-")
    kubectl.run(*apply, stdin=manifest)
    opted_out = [*policy["spec"]["exclusions"], "203.0.113.0/24"]
    changes = yaml.safe_dump({"spec": {"stop": True, "exclusions": opted_out}})
    words = ("probingpolicy", "default", "--type=merge", "--patch")
    kubectl.run("patch", *words, changes)
    kubectl.run(*apply, stdin=manifest)
    spec = kubectl.get("probingpolicy", "default")["spec"]
    assert spec["stop"]
    assert spec["exclusions"] == opted_out


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_the_api_server_takes_the_examples(theatre: Theatre, overlay: Path) -> None:
    """By server-side apply, and with no field that it does not know."""
    kubectl = Kubectl(Path(os.environ["KUBECONFIG"]))
    moved = [
        move(each, theatre) for each in render(overlay) if each["kind"] != "Namespace"
    ]
    dry = ("apply", "--server-side", "--dry-run=server", "--validate=strict")
    said = kubectl.run(*dry, "--filename=-", stdin=yaml.safe_dump_all(moved))
    assert said.count("serverside-applied") == len(moved)


@pytest.mark.parametrize("name", ["survey", "connections"])
def test_the_examples_for_a_cluster_are_applied_as_they_are(
    theatre: Theatre, name: str
) -> None:
    """As the documentation has people do it; the chart makes the system namespace."""
    kubectl = Kubectl(Path(os.environ["KUBECONFIG"]))
    system = {"metadata": {"name": "anabranch-system"}}
    made = theatre.system.call("POST", "/api/v1/namespaces", system)
    assert made.status in {201, 409}
    file = OURS / "kubernetes" / f"{name}.yaml"
    dry = ("apply", "--dry-run=server", "--validate=strict", "--filename", str(file))
    said = kubectl.run(*dry).splitlines()
    assert len(said) == len(list(yaml.safe_load_all(file.read_text())))
    assert all(line.endswith("created (server dry run)") for line in said)
