"""Events of a survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_each_change_of_mind_is_one_event(theatre: Theatre) -> None:
    """Nothing is told twice."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            await stage.wait_condition("survey", "Complete")
            events = [
                each
                for each in await stage.find_all("Event")
                if each["regarding"]["kind"] == "Measurement"
            ]
            reasons = [each["reason"] for each in events]
            assert len(reasons) == len(set(reasons))
            assert {"Started", "Running", "Completed"} <= set(reasons)
            assert not any("series" in each for each in events)
            assert {each["type"] for each in events} == {"Normal"}

    theatre.play(act)
