"""A survey that takes too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_survey_that_takes_too_long_delivers_what_it_found(theatre: Theatre) -> None:
    """Agents stop, their last parts are looked at, and it fails."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            # Until there is a second window, a first one has been probed.
            entries = [{"target": "240.0.0.0/22", "minTtl": 1}]
            await set_stage(stage, entries=entries, activeDeadlineSeconds=12)
            await stage.wait_rounds(3)
            stage.is_probing = False
            found = await stage.wait_condition("survey", "Failed", seconds=60)
            assert read_condition(found, "Ready") == ("False", "DeadlineExceeded")
            assert read_condition(found, "Complete")[0] == "False"
            assert found["status"]["totals"]["links"] > 0
            assert found["status"]["results"]

    theatre.play(act)
