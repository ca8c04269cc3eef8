"""What the operator makes of a Survey."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import Place
from anabranch.store.keys import CycleKeys, cycles_of
from crashes import play_crashing, survive
from stage import MERGE, Stage, read_condition
from theatre import LIST, operating, set_agents

if TYPE_CHECKING:
    from theatre import Theatre

TEMPLATE: dict[str, dict[str, Any]] = {
    "metadata": {"labels": {"team": "demo"}, "annotations": {"note": "nightly"}},
    "spec": {
        "diamondMiner": {},
        "agents": [{"name": "all", "selector": {}, "targetList": "list"}],
        "minAgents": 2,
        "maxRounds": 2,
    },
}
CONTINUOUS = {"continuous": True}


async def set_stage(stage: Stage, **spec: Any) -> None:
    """Makes a Survey of two agents."""
    await set_agents(stage)
    await stage.create("TargetList", "list", LIST)
    await stage.create("Survey", "survey", {"measurementTemplate": TEMPLATE} | spec)


async def make_survey(stage: Stage, **spec: Any) -> str:
    """Makes a Survey whose Measurements nobody runs; its UID."""
    await stage.create("Survey", "survey", {"measurementTemplate": TEMPLATE} | spec)
    found = await stage.get("Survey", "survey")
    uid: str = found["metadata"]["uid"]
    return uid


async def wait_cycle(stage: Stage, number: int) -> dict[str, Any]:
    """Waits until a cycle's Measurement is there; the Measurement then."""
    name = f"survey-{number:06}"
    return await stage.wait("Measurement", name, lambda _: True)


async def finish(stage: Stage, number: int, *, succeeds: bool = True) -> None:
    """Ends a cycle's Measurement, as if it had run."""
    found = await wait_cycle(stage, number)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    condition = {
        "type": "Complete" if succeeds else "Failed",
        "status": "True",
        "reason": "Completed" if succeeds else "AgentsFailed",
        "message": "2 of 2 agents are through",
        "lastTransitionTime": now,
    }
    status = {
        "runId": "1",
        "startTime": now,
        "completionTime": now,
        "conditions": [condition],
    }
    place = Place("Measurement", stage.namespace, found["metadata"]["name"])
    path = f"{place.path}/status"
    await stage.cluster.request("PATCH", path, body={"status": status}, content=MERGE)


async def name_measurements(stage: Stage) -> list[str]:
    """The names of all Measurements, sorted."""
    found = await stage.find_all("Measurement")
    return sorted(each["metadata"]["name"] for each in found)


def list_cycles(stage: Stage, uid: str) -> list[str]:
    """What the store has of cycles, without the notes about Measurements."""
    folder = cycles_of(uid)
    keys = (key.removeprefix(f"{folder}/") for key in stage.store.list(folder))
    return [key for key in keys if "measurements" not in key]


def put_cycle(stage: Stage, uid: str, number: int, scheduled: datetime) -> None:
    """Puts the record of a cycle, as another operator would."""
    time = f"{scheduled:%Y-%m-%dT%H:%M:%SZ}"
    name = f"survey-{number:06}"
    stage.store.create_bucket()
    text = json.dumps({"number": number, "scheduled": time, "measurement": name})
    stage.store.put(CycleKeys(uid, number).record, text.encode())


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


def test_a_schedule_starts_cycles(theatre: Theatre) -> None:
    """One that was due while no operator was there starts at once."""

    async def act(stage: Stage) -> None:
        uid = await make_survey(stage, schedule="@hourly", concurrencyPolicy="Forbid")
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        put_cycle(stage, uid, 1, hour - timedelta(hours=1))
        async with operating(stage):
            # The first one began before the Survey was there, and has no end.
            await wait_cycle(stage, 1)
            found = await wait_ready(stage, "Running")
            status = found["status"]
            assert status["cycle"] == status["activeCount"] == 1
            assert (
                status["lastScheduleTime"]
                == f"{hour - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
            )
            assert (
                status["nextScheduleTime"]
                == f"{hour + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
            )
            await finish(stage, 1)
            found = await wait_ready(stage, "Scheduled")
            assert found["status"]["lastEnded"]["reason"] == "Completed"
            assert found["status"]["activeCount"] == 0
            assert list_cycles(stage, uid) == ["000001.json", "000001/end.json"]

    theatre.play(act)


def test_status_and_measurements_can_be_lost(theatre: Theatre) -> None:
    """No cycle is lost or doubled: the store has them."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            uid = await make_survey(stage, **CONTINUOUS)
            await finish(stage, 1)
            first = await wait_cycle(stage, 2)
        place = Place("Survey", stage.namespace, "survey")
        lost = {"status": {"cycle": None, "conditions": None, "lastEnded": None}}
        await stage.cluster.request(
            "PATCH", f"{place.path}/status", body=lost, content=MERGE
        )
        for found in await stage.find_all("Measurement"):
            metadata = found["metadata"]
            gone = Place("Measurement", stage.namespace, metadata["name"])
            await stage.objects.delete(gone, metadata["uid"])
        async with operating(stage):
            again = await wait_cycle(stage, 2)
            assert again["metadata"]["uid"] != first["metadata"]["uid"]
            found = await wait_ready(stage, "Running")
            assert found["status"]["cycle"] == 2
            assert await name_measurements(stage) == ["survey-000002"]
            noted = stage.store.list(f"{CycleKeys(uid, 2).root}/measurements")
            assert len(list(noted)) == 2

    theatre.play(act)


def test_history_and_retention(theatre: Theatre) -> None:
    """Measurements go by their limits, and a Job removes old objects of the store."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            uid = await make_survey(
                stage,
                **CONTINUOUS,
                successfulHistoryLimit=1,
                retention={"maxCycles": 2},
            )
            made = []
            for number in range(1, 5):
                found = await wait_cycle(stage, number)
                made.append(found["metadata"]["uid"])
                for key in (f"surveys/{made[-1]}/1/roster", f"agents/a/{made[-1]}/1/x"):
                    stage.store.put(key, b"")
                await finish(stage, number)
            await wait_cycle(stage, 5)

            async def are_removed() -> bool:
                return "000002/removed.json" in list_cycles(stage, uid)

            async def are_two() -> bool:
                names = ["survey-000004", "survey-000005"]
                return await name_measurements(stage) == names

            await stage.until("the removal", are_removed)
            await stage.until("two Measurements", are_two)
            left = {*stage.store.folders("surveys"), *stage.store.folders("agents/a")}
            assert left & {*made} == {*made[2:]}
            assert "000001.json" in list_cycles(stage, uid)
            assert "000003/removed.json" not in list_cycles(stage, uid)

    theatre.play(act)


def test_what_keeps_a_survey_from_going_on_is_told(theatre: Theatre) -> None:
    """A schedule that never comes, a name that is taken; once mended, it goes on."""

    async def act(stage: Stage) -> None:
        await stage.create("Measurement", "survey-000001", TEMPLATE["spec"])
        async with operating(stage):
            await make_survey(stage, schedule="0 0 30 2 *")
            await wait_ready(stage, "InvalidSchedule")
            await stage.change("Survey", "survey", schedule=None, continuous=True)
            found = await wait_ready(stage, "NameTaken")
            assert read_condition(found, "Stalled") == ("True", "NameTaken")
            (ready,) = (
                c for c in found["status"]["conditions"] if c["type"] == "Ready"
            )
            assert "is in the way and not ours" in ready["message"]
            other = await stage.get("Measurement", "survey-000001")
            place = Place("Measurement", stage.namespace, "survey-000001")
            await stage.objects.delete(place, other["metadata"]["uid"])
            note = {"metadata": {"annotations": {"looked": "at"}}}
            await stage.objects.patch(Place("Survey", stage.namespace, "survey"), note)
            await wait_ready(stage, "Running")
            await stage.change("Survey", "survey", suspend=True)
            await wait_ready(stage, "Suspended")
            await finish(stage, 1, succeeds=False)
            found = await wait_ended(stage, 1)
            assert not found["status"]["lastEnded"]["succeeded"]
            assert "CycleFailed" in await list_events(stage)
            assert await name_measurements(stage) == ["survey-000001"]

    theatre.play(act)


def test_a_cycle_replaces_another_one(theatre: Theatre) -> None:
    """The old Measurement is deleted before the new one is made."""

    async def act(stage: Stage) -> None:
        uid = await make_survey(stage, schedule="@hourly", concurrencyPolicy="Replace")
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        put_cycle(stage, uid, 1, hour - timedelta(hours=1))
        async with operating(stage):
            await wait_cycle(stage, 1)
        put_cycle(stage, uid, 2, hour)
        async with operating(stage):
            await wait_cycle(stage, 2)
            assert await name_measurements(stage) == ["survey-000002"]
            end = json.loads(stage.store.get(CycleKeys(uid, 1).end))
            assert end["reason"] == "Replaced"

    theatre.play(act)


def test_an_operator_may_end_before_and_after_each_write(theatre: Theatre) -> None:
    """Two cycles come of it, each with one Measurement."""

    async def act(stage: Stage) -> None:
        uid = await make_survey(stage, **CONTINUOUS)
        done = asyncio.create_task(finish_two(stage))
        assert await survive(stage, done) > 8
        assert list_cycles(stage, uid)[:5] == [
            "000001.json",
            "000001/end.json",
            "000002.json",
            "000002/end.json",
            "000003.json",
        ]
        found = await stage.get("Survey", "survey")
        assert found["status"]["cycle"] == 3
        for number in (1, 2):
            noted = stage.store.list(f"{CycleKeys(uid, number).root}/measurements")
            assert len(list(noted)) == 1

    async def finish_two(stage: Stage) -> None:
        for number in (1, 2):
            await finish(stage, number)
        await wait_cycle(stage, 3)

        async def is_said() -> bool:
            found = await stage.get("Survey", "survey")
            return bool(found["status"].get("cycle") == 3)

        await stage.until("the third cycle", is_said)

    play_crashing(theatre, act)
