"""A survey that can not start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_survey_that_can_not_start_fails_after_its_deadline(
    theatre: Theatre,
) -> None:
    """With what it waited for, until it is run again."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, minAgents=3)
            await stage.wait_reason("WaitingForAgents")
            await stage.change("Measurement", "survey", startDeadlineSeconds=3)
            found = await stage.wait_condition("survey", "Failed")
            assert read_condition(found, "Ready") == ("False", "StartDeadlineExceeded")
            assert read_condition(found, "Stalled")[0] == "True"
            await stage.change("Measurement", "survey", runId="2", minAgents=2)
            found = await stage.wait_condition("survey", "Complete")
            assert read_condition(found, "Failed") == ("", "")

    theatre.play(act)
