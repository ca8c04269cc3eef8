"""Measurements and lists that name what only another namespace has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place
from stage import read_condition
from theatre import make_namespace, operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

SURVEY = {"yarrp": {}, "agents": [{"name": "paris", "targetList": "list"}]}


def test_lists_of_other_namespaces_are_out_of_reach(theatre: Theatre) -> None:
    """Neither a TargetList nor the ConfigMap of one is found under its name alone."""
    name = make_namespace(theatre.user).name

    async def act(stage: Stage) -> None:
        async with stage.visit(name) as other, operating(stage):
            await set_stage(stage, suspend=True)
            await stage.cluster.request(
                "POST",
                Place("ConfigMap", stage.namespace).path,
                body={
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "targets", "namespace": stage.namespace},
                    "data": {"list": "240.0.0.0/24,udp,1,32,6\n"},
                },
            )
            await other.create("Measurement", "survey", SURVEY)
            await other.wait_reason("TargetListMissing", "survey")
            source = {"configMap": {"name": "targets", "key": "list"}}
            await other.create("TargetList", "theirs", source)
            await other.wait(
                "TargetList",
                "theirs",
                lambda it: read_condition(it, "Ready")[1] == "ConfigMapMissing",
            )

    theatre.play(act)
