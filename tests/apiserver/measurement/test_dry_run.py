"""A survey that only counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_dry_run_counts_and_sends_nothing(theatre: Theatre) -> None:
    """It says so as often as the spec changes, and runs once it is no dry run."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, dryRun=True)
            found = await stage.wait_condition("survey", "Complete")
            (ready,) = (
                c for c in found["status"]["conditions"] if c["type"] == "Ready"
            )
            assert "2 agents would send 480 probes to 8 targets" in ready["message"]
            assert "startTime" not in found["status"]
            assert await stage.find_all("Round") == []
            await stage.change("Measurement", "survey", yarrp={}, diamondMiner=None)
            await stage.wait_condition("survey", "Complete")
            await stage.change("Measurement", "survey", dryRun=False)
            found = await stage.wait_reason("Completed")
            assert found["status"]["totals"]["probes"] == 480

    theatre.play(act)
