"""Agents that say they have probed to the end, and have not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST
from anabranch.runs.handouts import read_hand_outs
from anabranch.store.keys import RunKeys
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

MANY = [{"target": "240.0.0.0/18", "minTtl": 1, "maxTtl": 10}]
TEAM = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
ALONE = [
    {"name": "paris", "targetList": "list"},
    {"name": "tokyo", "targetList": "list"},
]


def test_a_team_does_what_a_liar_left(theatre: Theatre) -> None:
    """Others get its blocks, it gets no more, and the status says who lied."""

    async def act(stage: Stage) -> None:
        stage.liars = {"tokyo"}
        async with operating(stage):
            await set_stage(stage, entries=MANY, agents=[TEAM], maxRounds=1)
            found = await stage.wait_reason("Completed")
            keys = RunKeys(found["metadata"]["uid"], "1", "team").step(FIRST)
            told = [key.split("/")[-2] for key in stage.store.list(keys.replies)]
            assert sorted(map(int, told)) == list(range(4))
            given = read_hand_outs(stage.store, keys)
            lied = {b for each in given if each.agent == "tokyo" for b in each.blocks}
            repaired = [
                number
                for number, each in enumerate(given)
                if each.agent == "paris" and lied & set(each.blocks)
            ]
            assert lied
            assert min(repaired) > max(
                number for number, each in enumerate(given) if each.agent == "tokyo"
            )
            status = found["status"]
            assert status["agentsSummary"] == "1/2"
            assert status["agents"] == {
                "total": 2,
                "running": 0,
                "finished": 1,
                "failed": 1,
            }
            (liar,) = status["unhealthyAgents"]
            assert liar["name"] == "tokyo"
            assert "parts end before the last slot of blocks" in liar["reason"]

    theatre.play(act)


def test_a_liar_without_a_team_fails(theatre: Theatre) -> None:
    """With its name and the blocks; the other agent's results are kept."""

    async def act(stage: Stage) -> None:
        stage.liars = {"tokyo"}
        async with operating(stage):
            await set_stage(stage, agents=ALONE, maxRounds=1)
            found = await stage.wait_reason("PartlyComplete")
            (liar,) = found["status"]["unhealthyAgents"]
            assert liar["name"] == "tokyo"
            assert "agent tokyo says that it has probed step 001-00" in liar["reason"]
            assert "of blocks 0;" in liar["reason"]

    theatre.play(act)
