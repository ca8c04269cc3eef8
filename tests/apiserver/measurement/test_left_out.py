"""A survey that leaves out some of its targets, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

USUAL = {"minTtl": 1, "maxTtl": 10}
INSIDE, OUTSIDE = ({"target": each, **USUAL} for each in ("240.0.0.0/22", "8.8.8.0/24"))
MESSAGE = "2 of 10 targets left out: 2 outside of the policy's allow list"


async def list_warnings(stage: Stage) -> dict[str, str]:
    """The notes of all warnings about a survey, by their reason."""
    return {
        each["reason"]: each["note"]
        for each in await stage.find_all("Event")
        if each["regarding"]["kind"] == "Measurement" and each["type"] == "Warning"
    }


def test_targets_that_are_left_out_are_told(theatre: Theatre) -> None:
    """In the status and in a warning, by the reason and over all agents."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, entries=[INSIDE, OUTSIDE], dryRun=True)
            found = await stage.wait_condition("survey", "Complete")
            assert found["status"]["targets"]["message"] == MESSAGE
            await stage.change("Measurement", "survey", dryRun=False)
            found = await stage.wait_reason("Completed")
            assert found["status"]["targets"] == {
                "probed": 8,
                "leftOut": 2,
                "reasons": [{"reason": "NotAllowed", "count": 2}],
                "message": MESSAGE,
            }
            assert (await list_warnings(stage))["TargetsLeftOut"] == MESSAGE

    theatre.play(act)


def test_a_survey_without_a_target_fails(theatre: Theatre) -> None:
    """As its dry run does, and nothing is sent or gathered."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, entries=[OUTSIDE], dryRun=True)
            found = await stage.wait_condition("survey", "Failed")
            assert read_condition(found, "Ready") == ("False", "NoTargets")
            await stage.change("Measurement", "survey", dryRun=False)
            found = await stage.wait(
                "Measurement", "survey", lambda it: "completionTime" in it["status"]
            )
            assert read_condition(found, "Failed") == ("True", "NoTargets")
            assert found["status"]["targets"]["leftOut"] == 2
            assert await stage.find_all("Round") == []
            assert not any("results" in job for job in stage.jobs_done)
            told = (await list_warnings(stage))["NoTargets"]
            assert "2 of 2 targets left out: 2 outside of the policy's allow" in told

    theatre.play(act)


def test_an_agent_without_a_target_does_not_keep_others_from_theirs(
    theatre: Theatre,
) -> None:
    """The survey is complete but for it."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, suspend=True)
            place = Place("Agent", stage.settings.namespace, "tokyo")
            exclusions = {"spec": {"exclusions": ["240.0.0.0/8"]}}
            await stage.objects.patch(place, exclusions)
            await stage.change("Measurement", "survey", suspend=False)
            found = await stage.wait_reason("PartlyComplete")
            status = found["status"]
            assert (status["targets"]["probed"], status["targets"]["leftOut"]) == (4, 4)
            (unhealthy,) = status["unhealthyAgents"]
            assert unhealthy["name"] == "tokyo"
            assert "4 of 4 targets left out: 4 excluded by" in unhealthy["reason"]
            assert status["totals"]["links"]
            warnings = await list_warnings(stage)
            assert {"TargetsLeftOut", "AgentFailed"} <= warnings.keys()

    theatre.play(act)
