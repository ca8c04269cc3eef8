"""A survey that is suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_suspended_survey_waits_and_goes_on(theatre: Theatre) -> None:
    """Before its start, and in the middle of a round."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage, suspend=True)
            await stage.wait_condition("survey", "Suspended")
            survey = await stage.get("Measurement", "survey")
            assert await stage.find_jobs(survey["metadata"]["uid"]) == []
            await stage.change("Measurement", "survey", suspend=False)
            (name, _) = [r["metadata"]["name"] for r in await stage.wait_rounds(2)]
            await stage.change("Measurement", "survey", suspend=True)
            await stage.wait("Round", name, lambda it: it["spec"].get("suspend", False))
            found = await stage.wait_condition("survey", "Suspended")
            assert read_condition(found, "Ready") == ("False", "Suspended")
            stage.is_probing = True
            await stage.change("Measurement", "survey", suspend=False)
            found = await stage.wait_condition("survey", "Complete")
            assert read_condition(found, "Suspended") == ("", "")

    theatre.play(act)
