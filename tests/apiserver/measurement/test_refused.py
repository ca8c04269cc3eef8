"""A survey that can not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_survey_that_can_not_be_says_why(theatre: Theatre) -> None:
    """As the Job said that found out."""

    async def act(stage: Stage) -> None:
        stage.refused["begin"] = "nothing is left to probe"
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Failed")
            assert read_condition(found, "Ready") == ("False", "AgentsFailed")
            (first, _) = found["status"]["unhealthyAgents"]
            assert "nothing is left to probe" in first["reason"]

    theatre.play(act)
