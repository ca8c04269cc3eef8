"""A survey that lost an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_who_takes_part_stays_whatever_its_labels(theatre: Theatre) -> None:
    """Also for an operator that starts anew."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        chosen = {"name": "all", "selector": {"matchLabels": {"team": "demo"}}}
        async with operating(stage):
            await set_stage(stage, agents=[chosen | {"targetList": "list"}])
            await stage.wait_rounds(2)
        other = {"metadata": {"labels": {"team": "other"}}}
        for name in ("paris", "tokyo"):
            place = Place("Agent", stage.settings.namespace, name)
            await stage.objects.patch(place, other)
        stage.is_probing = True
        async with operating(stage):
            survey = await stage.wait_condition("survey", "Complete")
            assert read_condition(survey, "Ready") == ("True", "Completed")
            assert survey["status"]["agents"]["finished"] == 2
            assert stage.jobs_done[-1].endswith("-results")

    theatre.play(act)


def test_a_survey_that_lost_an_agent_delivers_the_rest(theatre: Theatre) -> None:
    """It names the one that is gone."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            await stage.wait_rounds(2)
            place = Place("Agent", stage.settings.namespace, "tokyo")
            found = await stage.objects.get(place)
            assert found
            await stage.objects.delete(place, found["metadata"]["uid"])
            stage.is_probing = True
            survey = await stage.wait_reason("PartlyComplete")
            (unhealthy,) = survey["status"]["unhealthyAgents"]
            assert unhealthy["name"] == "tokyo"
            assert "there is no Agent 'tokyo'" in unhealthy["reason"]
            counts = {"total": 2, "running": 0, "finished": 1, "failed": 1}
            assert survey["status"]["agents"] == counts

    theatre.play(act)
