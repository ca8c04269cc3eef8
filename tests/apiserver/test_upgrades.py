"""An operator of this version goes on with what one of a release has left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.cluster.objects import Place
from anabranch.store.keys import CycleKeys, cycles_of
from theatre import LIST, operating, set_agents, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

RELEASES = sorted((Path(__file__).parents[1] / "chart/releases").iterdir())
MEASUREMENT = {
    "diamondMiner": {},
    "agents": [{"name": "all", "selector": {}, "targetList": "list"}],
    "minAgents": 2,
    "maxRounds": 2,
}
KINDS = ("Survey", "Measurement", "TargetList", "Round", "Agent", "ProbingPolicy")


def read_schemas(release: Path) -> dict[str, dict[str, Any]]:
    """What a release says of the status of each kind."""
    crds = yaml.safe_load_all((release / "crds.yaml").read_text())
    schemas = {}
    for crd in crds:
        (version,) = crd["spec"]["versions"]
        fields = version["schema"]["openAPIV3Schema"]["properties"]
        schemas[crd["spec"]["names"]["kind"]] = fields.get("status", {})
    return schemas


def prune(value: Any, schema: dict[str, Any]) -> Any:
    """What an API server with a schema keeps of a value."""
    if isinstance(value, list):
        return [prune(each, schema["items"]) for each in value]
    fields = schema.get("properties")
    if not isinstance(value, dict) or fields is None:
        return value
    return {name: prune(value[name], fields[name]) for name in value if name in fields}


async def age(stage: Stage, release: Path) -> None:
    """Leaves of each status only what the release would have written."""
    schemas = read_schemas(release)
    for kind in filter(schemas.__contains__, KINDS):
        is_admins = kind in {"Agent", "ProbingPolicy"}
        namespace = stage.settings.namespace if is_admins else stage.namespace
        for found in await stage.find_all(kind, namespace):
            found["status"] = prune(found.get("status", {}), schemas[kind])
            name = found["metadata"]["name"]
            path = f"{Place(kind, namespace, name).path}/status"
            await stage.cluster.request("PUT", path, body=found)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_run_goes_on_after_an_upgrade(release: Path, theatre: Theatre) -> None:
    """In its middle, and nothing is done twice."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            await stage.wait_rounds(2)
        began = (await stage.get("Measurement", "survey"))["status"]["startTime"]
        await age(stage, release)
        stage.is_probing = True
        async with operating(stage):
            await stage.finish()
        found = await stage.get("Measurement", "survey")
        assert found["status"]["startTime"] == began
        assert found["status"]["totals"]["links"] > 0

    theatre.play(act)


@pytest.mark.parametrize(
    "release",
    [release for release in RELEASES if "Survey" in read_schemas(release)],
    ids=lambda release: release.name,
)
def test_a_cycle_goes_on_after_an_upgrade(release: Path, theatre: Theatre) -> None:
    """In its middle: it is the same Measurement, and the next cycle follows."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_agents(stage)
            await stage.create("TargetList", "list", LIST)
            survey = {"continuous": True, "measurementTemplate": {"spec": MEASUREMENT}}
            await stage.create("Survey", "survey", survey)
            rounds = await stage.wait_rounds(2)
        await age(stage, release)
        stage.is_probing = True
        async with operating(stage):
            found = await stage.wait("Survey", "survey", is_in_second, 90)
            await stage.change("Survey", "survey", suspend=True)
        first = await stage.get("Measurement", "survey-000001")
        assert first["metadata"]["uid"] == rounds[0]["spec"]["measurement"]["uid"]
        assert first["status"]["totals"]["links"] > 0
        uid = found["metadata"]["uid"]
        keys = list(stage.store.list(cycles_of(uid)))
        records = [CycleKeys(uid, number).record for number in (1, 2)]
        assert [key for key in keys if key in records] == records
        assert CycleKeys(uid, 1).end in keys
        assert not stage.repeated
        assert len(stage.jobs_done) == len(set(stage.jobs_done))

    theatre.play(act)


def is_in_second(found: dict[str, Any]) -> bool:
    """Whether a Survey's second cycle has begun."""
    return bool(found["status"].get("cycle", 0) > 1)
