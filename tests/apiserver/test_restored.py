"""A cluster that is lost, and what is brought back: the store, and a copy of kinds."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from anabranch.cluster.objects import Place
from devcluster.kubectl import Kubectl
from stage import MERGE
from theatre import operating, set_stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stage import Stage
    from theatre import Theatre

COPIED = "agents,probingpolicies,targetlists,measurements,surveys"
"""What docs/install.md says to copy."""
APPLIED = ("ProbingPolicy", "Agent", "TargetList")
"""What docs/operations.md says to apply of the copy."""


async def copy(stage: Stage, kubectl: Kubectl) -> list[dict[str, Any]]:
    """Copy the kinds, as the docs say."""
    copied: list[dict[str, Any]] = []
    for namespace in (stage.settings.namespace, stage.namespace):
        words = ("get", COPIED, "--namespace", namespace, "--output", "yaml")
        found = yaml.safe_load(await asyncio.to_thread(kubectl.run, *words))
        copied += found["items"]
    return copied


async def lose(stage: Stage) -> None:
    """Remove all objects, while nobody is there who would see it."""
    places = [Place(kind, stage.settings.namespace) for kind in ("Job", *APPLIED)]
    kinds = ("Round", "Measurement", "TargetList")
    places += [Place(kind, stage.namespace) for kind in kinds]
    for place in places:
        for found in await stage.objects.list(place, ""):
            metadata = found["metadata"]
            there = Place(place.kind, place.namespace, metadata["name"])
            bare = {"metadata": {"finalizers": None}}
            await stage.cluster.request("PATCH", there.path, body=bare, content=MERGE)
            await stage.objects.delete(there, metadata["uid"])


async def apply(kubectl: Kubectl, objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects of the copy."""
    manifests = yaml.safe_dump_all(objects)
    await asyncio.to_thread(kubectl.run, "apply", "--filename=-", stdin=manifests)


def test_a_lost_cluster_is_brought_back(theatre: Theatre) -> None:
    """Old results are where the copy says, and what is applied runs, with its own."""
    kubectl = Kubectl(Path(os.environ["KUBECONFIG"]))

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            await stage.finish()
        copied = await copy(stage, kubectl)
        await lose(stage)
        kept = {key: stage.store.get(key) for key in stage.store.list("")}
        (before,) = (each for each in copied if each["kind"] == "Measurement")
        async with operating(stage):
            for kind in APPLIED:
                await apply(kubectl, [each for each in copied if each["kind"] == kind])
            manifest = {key: before[key] for key in ("apiVersion", "kind", "spec")}
            names = {key: before["metadata"][key] for key in ("name", "namespace")}
            await apply(kubectl, [manifest | {"metadata": names}])
            after = await stage.wait_condition("survey", "Complete", seconds=60)
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert after["status"]["totals"] == before["status"]["totals"]
        assert after["status"]["results"] != before["status"]["results"]
        assert {key: stage.store.get(key) for key in kept} == kept

    theatre.play(act)
