"""What the operator makes of a Survey."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from anabranch.store.keys import CycleKeys
from stage import Stage, read_condition
from theatre import LIST, POLICY, operating

if TYPE_CHECKING:
    from theatre import Theatre

TEMPLATE = {
    "metadata": {"labels": {"team": "demo"}, "annotations": {"note": "nightly"}},
    "spec": {
        "diamondMiner": {},
        "agents": [{"name": "all", "selector": {}, "targetList": "list"}],
        "minAgents": 2,
        "maxRounds": 2,
    },
}
YEARLY = {"schedule": "@yearly"}
CONTINUOUS = {"continuous": True}


async def set_stage(stage: Stage, **spec: Any) -> None:
    """Makes a Survey of two agents."""
    system = stage.settings.namespace
    await stage.create("ProbingPolicy", "default", POLICY, namespace=system)
    for name, node in (("paris", "n1"), ("tokyo", "n2")):
        agent = {"nodeName": node, "allowReserved": True}
        await stage.create("Agent", name, agent, namespace=system)
    await stage.create("TargetList", "list", LIST)
    await stage.create("Survey", "survey", {"measurementTemplate": TEMPLATE} | spec)


async def wait_ended(stage: Stage, cycle: int) -> dict[str, Any]:
    """Waits until a cycle has ended; the Survey then."""

    def has_ended(found: dict[str, Any]) -> bool:
        return bool(found["status"].get("lastEnded", {}).get("cycle", 0) >= cycle)

    return await stage.wait("Survey", "survey", has_ended, 90)


async def wait_ready(stage: Stage, reason: str) -> dict[str, Any]:
    """Waits until the Survey's Ready has a reason; the Survey then."""
    return await stage.wait(
        "Survey", "survey", lambda it: read_condition(it, "Ready")[1] == reason
    )


async def list_events(stage: Stage) -> list[str]:
    """The reasons of the events about the Survey, sorted."""
    events = await stage.find_all("Event")
    return sorted(e["reason"] for e in events if e["regarding"]["kind"] == "Survey")


def test_cycles_follow_one_another(theatre: Theatre) -> None:
    """Each is a Measurement of the Survey, with a record, an end, and a number."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, **CONTINUOUS)
            found = await wait_ended(stage, 2)
            await stage.change("Survey", "survey", suspend=True)
        uid = found["metadata"]["uid"]
        first = await stage.get("Measurement", "survey-000001")
        assert (
            first["metadata"]["labels"].items()
            >= {
                "team": "demo",
                "anabranch.dev/survey": "survey",
                "anabranch.dev/survey-uid": uid,
                "anabranch.dev/cycle": "1",
            }.items()
        )
        assert first["metadata"]["annotations"] == {"note": "nightly"}
        (owner,) = first["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Survey", uid)
        record = json.loads(stage.store.get(CycleKeys(uid, 1).record))
        assert record["measurement"] == "survey-000001"
        assert record["number"] == 1
        end = json.loads(stage.store.get(CycleKeys(uid, 1).end))
        assert end["succeeded"]
        assert end["started"] == first["status"]["startTime"]
        assert end["ended"] == first["status"]["completionTime"]
        made = await stage.find_all("Measurement")
        runs = [each["status"].get("startTime") for each in made]
        second = await stage.get("Measurement", "survey-000002")
        assert second["status"]["startTime"] >= first["status"]["completionTime"]
        assert len(runs) == found["status"]["cycle"]
        events = await list_events(stage)
        assert {"CycleStarted", "CycleSucceeded"} <= set(events)

    theatre.play(act)
