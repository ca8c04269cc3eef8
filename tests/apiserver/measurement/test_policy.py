"""A survey without a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from theatre import POLICY, operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre


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
            await stage.wait_reason("NoPolicy")
            await stage.create(
                "ProbingPolicy",
                "default",
                POLICY | {"stop": True},
                namespace=stage.settings.namespace,
            )
            await stage.wait_reason("ProbingStopped")
            await stage.objects.patch(policy, {"spec": {"stop": False}})
            await stage.wait_condition("survey", "Complete")

    theatre.play(act)
