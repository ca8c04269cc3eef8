"""A survey that starts at its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_survey_starts_at_its_time(theatre: Theatre) -> None:
    """And not before, with all that it takes."""

    async def act(stage: Stage) -> None:
        start = datetime.now(UTC) + timedelta(seconds=6)
        async with operating(stage):
            await set_stage(stage, startAt=start.strftime("%Y-%m-%dT%H:%M:%SZ"))
            await stage.wait_reason("NotYet")
            found = await stage.wait_condition("survey", "Complete")
            started = datetime.fromisoformat(found["status"]["startTime"])
            assert started >= start.replace(microsecond=0)

    theatre.play(act)
