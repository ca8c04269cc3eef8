"""A survey that is run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_new_run_id_runs_it_again(theatre: Theatre) -> None:
    """With Rounds of its own; those of the run before are gone."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Complete")
            before = {
                each["metadata"]["name"] for each in await stage.find_all("Round")
            }
            await stage.change("Measurement", "survey", runId="again")
            again = await stage.wait_condition("survey", "Complete")
            assert again["status"]["runId"] == "again"
            assert again["status"]["totals"] == found["status"]["totals"]
            after = await stage.name_rounds()
            assert after
            assert not before & after

    theatre.play(act)
