"""What a Measurement does, as those who apply manifests see it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import Place
from stage import read_condition
from theatre import POLICY, operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

QUIET_SECONDS = 2.0


async def take_versions(stage: Stage) -> dict[str, str]:
    """The version of each object that a survey consists of."""
    found = [
        each
        for kind in ("Measurement", "TargetList", "Round")
        for each in await stage.find_all(kind)
    ]
    for kind in ("Agent", "ProbingPolicy", "Job", "Pod"):
        found += await stage.find_all(kind, stage.settings.namespace)
    found += await stage.find_all("Event")
    return {
        each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in found
    }


async def wait_reason(stage: Stage, reason: str) -> dict[str, Any]:
    """Waits until the survey's Ready has a reason; the survey then."""
    return await stage.wait(
        "Measurement", "survey", lambda it: read_condition(it, "Ready")[1] == reason
    )


async def wait_rounds(stage: Stage, count: int = 1) -> list[dict[str, Any]]:
    """Waits for so many Rounds."""

    async def are_there() -> bool:
        return len(await stage.find_all("Round")) >= count

    await stage.until(f"{count} Rounds", are_there)
    return await stage.find_all("Round")


async def find_jobs(stage: Stage, uid: str) -> list[dict[str, Any]]:
    """The Jobs of a survey."""
    place = Place("Job", stage.settings.namespace)
    return await stage.objects.list(place, f"anabranch.dev/measurement-uid={uid}")


async def name_rounds(stage: Stage) -> set[str]:
    """The names of all Rounds."""
    return {each["metadata"]["name"] for each in await stage.find_all("Round")}


def test_what_is_applied_again_changes_nothing(theatre: Theatre) -> None:
    """No object is written, whether the operator ran all the time or starts anew."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Complete")
            await asyncio.sleep(QUIET_SECONDS)
            before = await take_versions(stage)
            del found["metadata"]["managedFields"], found["status"]
            place = Place("Measurement", stage.namespace, "survey")
            again = {"spec": found["spec"]}
            await stage.objects.patch(place, again)
            await asyncio.sleep(QUIET_SECONDS)
            assert await take_versions(stage) == before
        async with operating(stage):
            await asyncio.sleep(2 * QUIET_SECONDS)
            assert await take_versions(stage) == before

    theatre.play(act)


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


def test_a_suspended_survey_waits_and_goes_on(theatre: Theatre) -> None:
    """Before its start, and in the middle of a round."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage, suspend=True)
            await stage.wait_condition("survey", "Suspended")
            survey = await stage.get("Measurement", "survey")
            assert await find_jobs(stage, survey["metadata"]["uid"]) == []
            await stage.change("Measurement", "survey", suspend=False)
            (name, _) = [r["metadata"]["name"] for r in await wait_rounds(stage, 2)]
            await stage.change("Measurement", "survey", suspend=True)
            await stage.wait("Round", name, lambda it: it["spec"].get("suspend", False))
            found = await stage.wait_condition("survey", "Suspended")
            assert read_condition(found, "Ready") == ("False", "Suspended")
            stage.is_probing = True
            await stage.change("Measurement", "survey", suspend=False)
            found = await stage.wait_condition("survey", "Complete")
            assert read_condition(found, "Suspended") == ("", "")

    theatre.play(act)


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
            found = await wait_reason(stage, "Completed")
            assert found["status"]["totals"]["probes"] == 480

    theatre.play(act)


def test_a_survey_starts_at_its_time(theatre: Theatre) -> None:
    """And not before, with all that it takes."""

    async def act(stage: Stage) -> None:
        start = datetime.now(UTC) + timedelta(seconds=6)
        async with operating(stage):
            await set_stage(stage, startAt=start.strftime("%Y-%m-%dT%H:%M:%SZ"))
            await wait_reason(stage, "NotYet")
            found = await stage.wait_condition("survey", "Complete")
            started = datetime.fromisoformat(found["status"]["startTime"])
            assert started >= start.replace(microsecond=0)

    theatre.play(act)


def test_a_survey_that_can_not_start_fails_after_its_deadline(
    theatre: Theatre,
) -> None:
    """With what it waited for, until it is run again."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, minAgents=3, startDeadlineSeconds=3)
            await wait_reason(stage, "WaitingForAgents")
            found = await stage.wait_condition("survey", "Failed")
            assert read_condition(found, "Ready") == ("False", "StartDeadlineExceeded")
            assert read_condition(found, "Stalled")[0] == "True"
            await stage.change("Measurement", "survey", runId="2", minAgents=2)
            found = await stage.wait_condition("survey", "Complete")
            assert read_condition(found, "Failed") == ("", "")

    theatre.play(act)


def test_a_survey_that_takes_too_long_delivers_what_it_found(theatre: Theatre) -> None:
    """Agents stop, their last parts are looked at, and it fails."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            # Until there is a second window, a first one has been probed.
            entries = [{"target": "240.0.0.0/22", "minTtl": 1}]
            await set_stage(stage, entries=entries, activeDeadlineSeconds=12)
            await wait_rounds(stage, 3)
            stage.is_probing = False
            found = await stage.wait_condition("survey", "Failed", seconds=60)
            assert read_condition(found, "Ready") == ("False", "DeadlineExceeded")
            assert read_condition(found, "Complete")[0] == "False"
            assert found["status"]["totals"]["links"] > 0
            assert found["status"]["results"]

    theatre.play(act)


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
            after = await name_rounds(stage)
            assert after
            assert not before & after

    theatre.play(act)


def test_a_lower_rate_reaches_rounds_that_run(theatre: Theatre) -> None:
    """A measurement's, an agent's and the policy's; the lowest counts."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            (first, _) = await wait_rounds(stage, 2)
            name = first["metadata"]["name"]
            entry = {"name": "all", "selector": {}, "targetList": "list"}
            await stage.change(
                "Measurement", "survey", agents=[entry | {"probingRate": 70}]
            )
            await stage.wait("Round", name, lambda it: it["spec"]["rate"] == 70)
            policy = Place("ProbingPolicy", stage.settings.namespace, "default")
            await stage.objects.patch(policy, {"spec": {"maxRate": 7}})
            await stage.wait("Round", name, lambda it: it["spec"]["rate"] == 7)

    theatre.play(act)


def test_a_deleted_survey_leaves_no_job(theatre: Theatre) -> None:
    """Its Rounds go with it; Jobs are in another namespace, and go too."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            await wait_rounds(stage, 2)
            survey = await stage.get("Measurement", "survey")
            uid = survey["metadata"]["uid"]
            rounds = await stage.find_all("Round")
            owners = {each["metadata"]["ownerReferences"][0]["uid"] for each in rounds}
            assert owners == {uid}
            await stage.objects.delete(
                Place("Measurement", stage.namespace, "survey"), uid
            )

            async def are_gone() -> bool:
                return not await find_jobs(stage, uid)

            await stage.until("Jobs to go", are_gone)

    theatre.play(act)


def test_an_object_in_the_way_is_left_alone(theatre: Theatre) -> None:
    """The survey says whose name it needs, and goes on once it has it."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            rounds = await wait_rounds(stage, 2)
            found, name = rounds[0], rounds[0]["metadata"]["name"]
            place = Place("Round", stage.namespace, name)
            spec = found["spec"] | {"measurement": {"name": "other", "uid": "other"}}
        await stage.objects.delete(place, found["metadata"]["uid"])
        await stage.create("Round", name, spec)
        async with operating(stage):
            survey = await stage.wait_condition("survey", "Stalled")
            assert read_condition(survey, "Ready") == ("False", "NameTaken")
            foreign = await stage.get("Round", name)
            assert foreign["spec"]["measurement"]["name"] == "other"
            await stage.objects.delete(place, foreign["metadata"]["uid"])
            stage.is_probing = True
            await stage.wait_condition("survey", "Complete", seconds=90)

    theatre.play(act)


def test_without_a_policy_nothing_starts(theatre: Theatre) -> None:
    """And once there is one it does."""

    async def act(stage: Stage) -> None:
        policy = Place("ProbingPolicy", stage.settings.namespace, "default")
        async with operating(stage):
            await set_stage(stage, suspend=True)
            await stage.wait_condition("survey", "Suspended")
            found = await stage.objects.get(policy)
            assert found
            await stage.objects.delete(policy, found["metadata"]["uid"])
            await stage.change("Measurement", "survey", suspend=False)
            await wait_reason(stage, "NoPolicy")
            await stage.create(
                "ProbingPolicy",
                "default",
                POLICY | {"stop": True},
                namespace=stage.settings.namespace,
            )
            await wait_reason(stage, "ProbingStopped")
            await stage.objects.patch(policy, {"spec": {"stop": False}})
            await stage.wait_condition("survey", "Complete")

    theatre.play(act)


def test_a_survey_that_lost_an_agent_delivers_the_rest(theatre: Theatre) -> None:
    """It names the one that is gone."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            await wait_rounds(stage, 2)
            place = Place("Agent", stage.settings.namespace, "tokyo")
            found = await stage.objects.get(place)
            assert found
            await stage.objects.delete(place, found["metadata"]["uid"])
            stage.is_probing = True
            survey = await wait_reason(stage, "PartlyComplete")
            (unhealthy,) = survey["status"]["unhealthyAgents"]
            assert unhealthy["name"] == "tokyo"
            assert "there is no Agent 'tokyo'" in unhealthy["reason"]
            counts = {"total": 2, "running": 0, "finished": 1, "failed": 1}
            assert survey["status"]["agents"] == counts

    theatre.play(act)


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


def test_children_go_when_their_time_has_come(theatre: Theatre) -> None:
    """The Measurement stays, so that whoever applies it does not run it again."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, ttlSecondsAfterFinished=1)
            found = await stage.wait_condition("survey", "Complete")
            uid = found["metadata"]["uid"]

            async def are_gone() -> bool:
                rounds = await stage.find_all("Round")
                return not rounds and not await find_jobs(stage, uid)

            await stage.until("children to go", are_gone)
            await asyncio.sleep(QUIET_SECONDS)
            after = await stage.get("Measurement", "survey")
            assert after["status"]["results"] == found["status"]["results"]
            assert await stage.find_all("Round") == []

    theatre.play(act)
