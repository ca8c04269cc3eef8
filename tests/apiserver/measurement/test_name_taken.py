"""An object that has the name of a child."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_an_object_in_the_way_is_left_alone(theatre: Theatre) -> None:
    """The survey says whose name it needs, and goes on once it has it."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            rounds = await stage.wait_rounds(2)
            found, name = rounds[0], rounds[0]["metadata"]["name"]
            place = Place("Round", stage.namespace, name)
            spec = found["spec"] | {"measurement": {"name": "other", "uid": "other"}}
        await stage.objects.delete(place, found["metadata"]["uid"])
        await stage.create("Round", name, spec)
        async with operating(stage):
            survey = await stage.wait_condition("survey", "Stalled")
            assert read_condition(survey, "Ready") == ("False", "NameTaken")
            await stage.settle()
            foreign = await stage.get("Round", name)
            assert foreign["spec"]["measurement"]["name"] == "other"
            await stage.objects.delete(place, foreign["metadata"]["uid"])
            stage.is_probing = True
            await stage.wait_condition("survey", "Complete", seconds=90)

    theatre.play(act)
