"""A survey that is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_deleted_survey_leaves_no_job(theatre: Theatre) -> None:
    """Its Rounds go with it; Jobs are in another namespace, and go too."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            await stage.wait_rounds(2)
            survey = await stage.get("Measurement", "survey")
            uid = survey["metadata"]["uid"]
            rounds = await stage.find_all("Round")
            owners = {each["metadata"]["ownerReferences"][0]["uid"] for each in rounds}
            assert owners == {uid}
            await stage.objects.delete(
                Place("Measurement", stage.namespace, "survey"), uid
            )

            async def are_gone() -> bool:
                return not await stage.find_jobs(uid)

            await stage.until("Jobs to go", are_gone)

    theatre.play(act)
