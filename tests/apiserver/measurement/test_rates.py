"""Rates of a survey that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


def test_a_lower_rate_reaches_rounds_that_run(theatre: Theatre) -> None:
    """A measurement's, an agent's and the policy's; the lowest counts."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)
            (first, _) = await stage.wait_rounds(2)
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
