"""A measurement of the tool aliases waits for what it compares, and finds routers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from anabranch.plugin.remedies import REMEDIES
from anabranch.store.keys import SurveyKeys
from stage import read_condition
from theatre import operating, set_agents, set_stage
from toldaliases import read_routers

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

EVERYONE = [{"name": "all", "selector": {}}]
NAME = "routers"
TARGETS = [{"target": "240.0.0.0/18", "minTtl": 1, "maxTtl": 32}]
"""All of the simulated networks: on the way to fewer, no router shows twice."""


async def compare(stage: Stage, name: str, of: str) -> None:
    """Makes a measurement that compares the interfaces of another one."""
    spec = {"aliases": {"of": of}, "agents": EVERYONE}
    await stage.create("Measurement", name, spec)


async def wait_told(stage: Stage, name: str, reason: str, *words: str) -> None:
    """Waits until it is told why a measurement waits, which has a remedy."""
    found = await stage.wait_reason(reason, name)
    assert read_condition(found, "Ready")[0] == "False"
    message = tell(found)
    assert all(word in message for word in words), message
    assert REMEDIES[reason]
    assert "startTime" not in found["status"]


def tell(found: dict[str, Any]) -> str:
    """The message of Ready."""
    conditions = found["status"]["conditions"]
    (message,) = (each["message"] for each in conditions if each["type"] == "Ready")
    return str(message)


async def read_result(stage: Stage, of: dict[str, Any], table: str) -> list[Any]:
    """The rows of a table of a complete measurement."""
    keys = SurveyKeys(of["metadata"]["uid"], of["status"]["runId"])
    file = await asyncio.to_thread(stage.store.fetch, keys.table(table), stage.scratch)
    return list(pq.read_table(file).to_pylist())


async def find_routers(stage: Stage, found: dict[str, Any]) -> set[frozenset[str]]:
    """The routers that a measurement has found."""
    routers = defaultdict(set)
    for row in await read_result(stage, found, "routers"):
        assert not row["is_in_conflict"]
        routers[row["router_addr"]].add(row["addr"])
    return {frozenset(addresses) for addresses in routers.values()}


async def find_true_routers(
    stage: Stage, subject: dict[str, Any]
) -> set[frozenset[str]]:
    """Those with several of the interfaces that another measurement has found."""
    router_of = read_routers(stage.simulation, stage.scratch)
    routers = defaultdict(set)
    for row in await read_result(stage, subject, "interfaces"):
        routers[router_of[row["addr"]]].add(row["addr"])
    return {frozenset(each) for each in routers.values() if len(each) > 1}


def test_it_says_what_it_waits_for(theatre: Theatre) -> None:
    """Nothing is there of this name, or it is elsewhere, or it has no paths."""

    async def act(stage: Stage) -> None:
        await set_agents(stage)
        async with operating(stage):
            await compare(stage, NAME, of="survey")
            missing = f"no Measurement 'survey' in namespace {stage.namespace!r}"
            await wait_told(stage, NAME, "SubjectMissing", missing)
            system = stage.settings.namespace
            spec = {"aliases": {"of": "nothing"}, "agents": EVERYONE}
            await stage.create("Measurement", "survey", spec, namespace=system)
            await compare(stage, "more", of=NAME)
            await wait_told(stage, "more", "SubjectUnusable", "aliases itself")
            await wait_told(stage, NAME, "SubjectMissing", missing)

    theatre.play(act)


def test_it_finds_the_routers_of_what_is_complete(theatre: Theatre) -> None:
    """Until then it waits; then it goes over just this run, in three rounds."""

    async def act(stage: Stage) -> None:
        await set_stage(stage, entries=TARGETS, suspend=True)
        async with operating(stage):
            await compare(stage, NAME, of="survey")
            await wait_told(stage, NAME, "SubjectNotComplete", "it starts when it is")
            await stage.change("Measurement", "survey", suspend=False)
            await stage.wait_condition("survey", "Complete", seconds=60)
            found = await stage.wait_condition(NAME, "Complete", seconds=60)
            subject = await stage.get("Measurement", "survey")
            assert found["status"]["subject"] == {
                "uid": subject["metadata"]["uid"],
                "runId": subject["status"]["runId"],
            }
            routers = await find_routers(stage, found)
            assert routers
            assert routers == await find_true_routers(stage, subject)

    theatre.play(act)
