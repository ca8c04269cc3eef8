"""Agents that share a target list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from anabranch.store.keys import RunKeys
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

TEAM = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
MANY = [{"target": "240.0.0.0/18", "minTtl": 1, "maxTtl": 10}]


def test_each_block_has_one_agent(theatre: Theatre) -> None:
    """A team is one run, with one plan, and Rounds for all of its members."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, entries=MANY, agents=[TEAM])
            found = await stage.wait_condition("survey", "Complete")
            status = found["status"]
            assert status["agentsSummary"] == "2/2"
            assert status["targets"]["probed"] == 64
            assert status["totals"]["links"] > 0
            assert not stage.repeated
            keys = RunKeys(found["metadata"]["uid"], "1", "team")
            owners: dict[int, set[str]] = {}
            for key in stage.store.list(keys.root):
                if "/handouts/" not in key:
                    continue
                given: dict[str, Any] = json.loads(stage.store.get(key))
                for block in given["blocks"]:
                    owners.setdefault(block, set()).add(given["agent"])
            assert {len(agents) for agents in owners.values()} == {1}
            assert set.union(*owners.values()) == {"paris", "tokyo"}

    theatre.play(act)


def test_a_team_named_as_one_of_its_agents_is_refused(theatre: Theatre) -> None:
    """Its run would have the place of that agent's in the store."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, agents=[TEAM | {"name": "paris"}])
            await stage.wait_reason("TeamNameTaken")

    theatre.play(act)
