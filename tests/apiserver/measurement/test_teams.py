"""Agents that share a target list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from anabranch.store.keys import RunKeys
from theatre import operating, set_stage

if TYPE_CHECKING:
    import pytest

    from stage import Stage
    from theatre import Theatre

TEAM = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
MANY = [{"target": "240.0.0.0/18", "minTtl": 1, "maxTtl": 10}]
COURSE = "anabranch.reconcile.teamcourse"


def find_owners(stage: Stage, found: dict[str, Any]) -> dict[int, list[str]]:
    """The agents that each block of the first step was handed out to, in order."""
    root = RunKeys(found["metadata"]["uid"], "1", "team").root
    owners: dict[int, list[str]] = {}
    for key in sorted(stage.store.list(f"{root}/001-00/handouts")):
        given: dict[str, Any] = json.loads(stage.store.get(key))
        for block in given["blocks"]:
            owners.setdefault(block, []).append(given["agent"])
    return owners


async def find_rounds_of(stage: Stage, agent: str) -> list[dict[str, Any]]:
    """The Rounds of an agent."""
    rounds = await stage.find_all("Round")
    return [each for each in rounds if each["spec"]["agent"] == agent]


async def wait_suspended(stage: Stage, agent: str, *, is_so: bool) -> None:
    """Waits until all Rounds of an agent are suspended, or none is."""

    async def holds() -> bool:
        rounds = await find_rounds_of(stage, agent)
        said = {each["spec"].get("suspend", False) for each in rounds}
        return said == {is_so}

    await stage.until(f"suspend: {is_so}", holds, 60)


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
            owners = find_owners(stage, found)
            assert {len(agents) for agents in owners.values()} == {1}
            assert {agent for (agent,) in owners.values()} == {"paris", "tokyo"}

    theatre.play(act)


def test_a_lost_member_goes_on_with_what_nobody_took(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is suspended while it is away, and each block has one sender."""
    monkeypatch.setattr(f"{COURSE}.LOST_SECONDS", 1)

    async def act(stage: Stage) -> None:
        stage.silent |= {"paris", "tokyo"}
        async with operating(stage):
            await set_stage(stage, entries=MANY, agents=[TEAM])
            await stage.wait_rounds(2)
            await stage.set_ready("paris", is_ready=False)
            await wait_suspended(stage, "paris", is_so=True)
            await stage.set_ready("paris", is_ready=True)
            await wait_suspended(stage, "paris", is_so=False)
            stage.silent.clear()
            found = await stage.wait_condition("survey", "Complete", seconds=60)
        assert found["status"]["totals"]["links"] > 0
        assert not stage.repeated
        assert {len(agents) for agents in find_owners(stage, found).values()} == {1}

    theatre.play(act)


def test_what_a_lost_member_left_goes_to_others(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it says nothing; when it is back, it gets none of it."""
    monkeypatch.setattr(f"{COURSE}.LOST_SECONDS", 1)
    monkeypatch.setattr(f"{COURSE}.SILENT_SECONDS", 2)

    async def act(stage: Stage) -> None:
        stage.silent |= {"paris"}
        async with operating(stage):
            await set_stage(stage, entries=MANY, agents=[TEAM], maxRounds=1)
            await stage.wait_rounds(2)
            await stage.set_ready("paris", is_ready=False)

            async def is_taken() -> bool:
                return not await find_rounds_of(stage, "paris")

            await stage.until("others to have its blocks", is_taken, 60)
            stage.silent.clear()
            await stage.set_ready("paris", is_ready=True)
            found = await stage.wait_condition("survey", "Complete", seconds=60)
        assert not stage.repeated
        owners = find_owners(stage, found)
        taken = [agents for agents in owners.values() if len(agents) > 1]
        assert taken
        assert all(agents == ["paris", "tokyo"] for agents in taken)
        keys = RunKeys(found["metadata"]["uid"], "1", "team")
        parts = [key for key in stage.store.list(keys.root) if "/replies/" in key]
        assert len(parts) == len(set(parts)) >= len(owners)

    theatre.play(act)


def test_a_team_named_as_one_of_its_agents_is_refused(theatre: Theatre) -> None:
    """Its run would have the place of that agent's in the store."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage, agents=[TEAM | {"name": "paris"}])
            await stage.wait_reason("TeamNameTaken")

    theatre.play(act)
