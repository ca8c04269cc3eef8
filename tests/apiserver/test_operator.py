"""The operator on a real API server, with a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_survey_runs_to_its_end(theatre: Theatre) -> None:
    """From manifests to results, with what kubectl shows of it."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Complete")
            status = found["status"]
            assert status["totals"]["links"] > 0
            assert status["totals"]["probes"] > 0
            assert status["agentsSummary"] == "2/2"
            assert {each["name"] for each in status["results"]} == {
                *("interfaces", "links", "diamonds")
            }
            assert read_condition(found, "Ready") == ("True", "Completed")
            for table in status["results"]:
                key = table["uri"].partition("/surveys/")[2]
                assert stage.store.get(f"surveys/{key}")

    theatre.play(act)
