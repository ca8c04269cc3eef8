"""The operator may end before and after each of its writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crashes import play_crashing, survive
from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def look(found: dict[str, Any]) -> dict[str, Any]:
    """What is to be the same however often the operator ended."""
    status = found["status"]
    return {
        "totals": status["totals"],
        "agents": status["agents"],
        "round": status["round"],
        "ready": read_condition(found, "Ready"),
    }


def test_it_may_end_before_and_after_each_write(theatre: Theatre) -> None:
    """What comes of it is the same, and no child is made or done twice."""
    seen: dict[str, Any] = {}

    async def undisturbed(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Complete")
            seen["jobs"] = len(stage.jobs_done)
            seen["status"] = look(found)

    async def crashing(stage: Stage) -> None:
        await set_stage(stage)
        complete = stage.wait_condition("survey", "Complete", seconds=300)
        lives = await survive(stage, asyncio.create_task(complete))
        assert lives > 2 * seen["jobs"]
        assert look(await stage.get("Measurement", "survey")) == seen["status"]
        assert len(stage.jobs_done) == len(set(stage.jobs_done)) == seen["jobs"]
        rounds = await stage.find_all("Round")
        steps = [
            (each["spec"]["agent"], each["spec"]["round"], each["spec"].get("window"))
            for each in rounds
        ]
        assert len(steps) == len(set(steps))

    theatre.play(undisturbed)
    play_crashing(theatre.renew(), crashing)
