"""Children of a survey that is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stage import QUIET_SECONDS
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_children_go_when_their_time_has_come(theatre: Theatre) -> None:
    """The Measurement stays, so that whoever applies it does not run it again."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, ttlSecondsAfterFinished=1)
            found = await stage.wait_condition("survey", "Complete")
            uid = found["metadata"]["uid"]

            async def are_gone() -> bool:
                rounds = await stage.find_all("Round")
                return not rounds and not await stage.find_jobs(uid)

            await stage.until("children to go", are_gone)
            await asyncio.sleep(QUIET_SECONDS)
            after = await stage.get("Measurement", "survey")
            assert after["status"]["results"] == found["status"]["results"]
            assert await stage.find_all("Round") == []

    theatre.play(act)
