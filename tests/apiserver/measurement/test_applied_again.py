"""What is applied again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from stage import QUIET_SECONDS
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_what_is_applied_again_changes_nothing(theatre: Theatre) -> None:
    """No object is written, whether the operator ran all the time or starts anew."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Complete")
            before = await stage.settle()
            del found["metadata"]["managedFields"], found["status"]
            place = Place("Measurement", stage.namespace, "survey")
            again = {"spec": found["spec"]}
            await stage.objects.patch(place, again)
            await asyncio.sleep(QUIET_SECONDS)
            assert await stage.take_versions() == before
        async with operating(stage):
            await asyncio.sleep(2 * QUIET_SECONDS)
            assert await stage.take_versions() == before

    theatre.play(act)
