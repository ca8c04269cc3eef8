"""A survey that starts at its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def tell(start: datetime) -> str:
    """A time as manifests have it."""
    return start.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_survey_starts_at_its_time(theatre: Theatre) -> None:
    """And not before, with all that it takes; until then that may change."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            later = datetime.now(UTC) + timedelta(hours=1)
            await set_stage(stage, startAt=tell(later))
            await stage.wait_reason("NotYet")
            start = datetime.now(UTC) + timedelta(seconds=3)
            await stage.change("Measurement", "survey", startAt=tell(start))
            found = await stage.wait_condition("survey", "Complete")
            started = datetime.fromisoformat(found["status"]["startTime"])
            assert started >= start.replace(microsecond=0)

    theatre.play(act)
