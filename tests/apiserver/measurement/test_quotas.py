"""Namespaces that have done what they may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import Place
from anabranch.store.keys import accounts_of
from crashes import play_crashing, survive
from theatre import LIST, make_namespace, operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

FULL = "QuotaExceeded"
PROBES = 240
"""What a survey sends: 10 TTLs and 6 flows of 4 targets."""


async def limit(stage: Stage, **limits: Any) -> None:
    """Changes the limits of the policy."""
    place = Place("ProbingPolicy", stage.settings.namespace, "default")
    await stage.objects.patch(place, {"spec": {"limits": limits}})


async def add(stage: Stage, *names: str) -> None:
    """Makes surveys of an agent, one after the other."""
    paris = {"name": "paris", "targetList": "list"}
    for name in names:
        await stage.create("Measurement", name, {"yarrp": {}, "agents": [paris]})


async def remove(stage: Stage, *names: str) -> None:
    """Deletes surveys."""
    for name in names:
        found = await stage.get("Measurement", name)
        place = Place("Measurement", stage.namespace, name)
        await stage.objects.delete(place, found["metadata"]["uid"])


def count_charged(stage: Stage) -> int:
    """What the namespace was charged, whenever."""
    ranges = [
        key.rpartition("/")[2].removesuffix(".json").split("-")[1:]
        for key in stage.store.list(accounts_of(stage.namespace))
    ]
    return sum(int(end) - int(begin) for begin, end in ranges)


def test_a_namespace_at_its_quota_waits_and_others_go_on(theatre: Theatre) -> None:
    """What is deleted and made again waits, too, until somebody raises the quota."""
    name = make_namespace(theatre.user).name

    async def act(stage: Stage) -> None:
        async with stage.visit(name) as other:
            async with operating(stage):
                await set_stage(stage, suspend=True)
                await limit(stage, maxProbesPerDay=PROBES * 3 // 2)
                await add(stage, "first")
                await stage.wait_condition("first", "Complete")
                await add(stage, "second")
                found = await stage.wait_reason(FULL, "second")
                (ready,) = (
                    each
                    for each in found["status"]["conditions"]
                    if each["type"] == "Ready"
                )
                assert "has used 240 of 360 probes of 20" in ready["message"]
                assert "this takes 240 more" in ready["message"]
                await other.create("TargetList", "list", LIST)
                await add(other, "first")
                await other.wait_condition("first", "Complete")
                await remove(stage, "first", "second")
                await add(stage, "first")
                await stage.wait_reason(FULL, "first")
            async with operating(stage):
                await add(stage, "second")
                await stage.wait_reason(FULL, "second")
                await stage.wait_reason(FULL, "first")
                assert count_charged(stage) == PROBES
                own = {"name": stage.namespace, "maxProbesPerDay": 3 * PROBES}
                await limit(stage, namespaces=[own])
                await stage.wait_condition("first", "Complete")
                await stage.wait_condition("second", "Complete")
                assert count_charged(stage) == 3 * PROBES
                assert count_charged(other) == PROBES

    theatre.play(act)


def test_a_survey_larger_than_a_day_pauses(theatre: Theatre) -> None:
    """And goes on where it was when there is more."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage, suspend=True)
            await limit(stage, maxProbesPerDay=PROBES // 2)
            await add(stage, "large")
            (found,) = await stage.wait_rounds(1)
            name = found["metadata"]["name"]
            assert count_charged(stage) == 1
            await stage.report_sent(found, PROBES // 2)
            await stage.wait("Round", name, lambda it: it["spec"]["suspend"])
            await stage.wait_reason(FULL, "large")
            assert count_charged(stage) == PROBES // 2
            await limit(stage, maxProbesPerDay=PROBES)
            await stage.wait("Round", name, lambda it: not it["spec"]["suspend"])
            stage.is_probing = True
            await stage.wait_condition("large", "Complete")
            assert count_charged(stage) == PROBES

    theatre.play(act)


def test_runs_begin_one_after_the_other(theatre: Theatre) -> None:
    """In the order in which they began to wait, and as soon as one has ended."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        names = ("b", "c", "a")
        async with operating(stage):
            await set_stage(stage, suspend=True)
            await limit(stage, maxConcurrentRuns=1)
            await add(stage, names[0])
            await stage.wait_rounds(1)
            for name in names[1:]:
                await add(stage, name)
                found = await stage.wait_reason(FULL, name)
                # The order is told by seconds, and then by names.
                await asyncio.sleep(1)
            assert "1 of 1 runs under way, and 1 that have waited" in str(found)
            stage.is_probing = True
            times = [
                (await stage.wait_condition(name, "Complete"))["status"]["startTime"]
                for name in names
            ]
            assert times == sorted(times)

    theatre.play(act)


def test_an_operator_that_ends_at_any_time_charges_once(theatre: Theatre) -> None:
    """Between a charge and its Round, too: the quota is what one run takes."""

    async def act(stage: Stage) -> None:
        await set_stage(stage, suspend=True)
        await limit(stage, maxProbesPerDay=PROBES)
        await add(stage, "first")
        complete = stage.wait_condition("first", "Complete", seconds=300)
        await survive(stage, asyncio.create_task(complete))
        assert count_charged(stage) == PROBES

    play_crashing(theatre, act)
