"""A measurement of the tool aliases waits for what it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.plugin.remedies import REMEDIES
from stage import read_condition
from theatre import operating, set_agents, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

EVERYONE = [{"name": "all", "selector": {}}]
NAME = "routers"


async def compare(stage: Stage, name: str, of: str) -> None:
    """Makes a measurement that compares the interfaces of another one."""
    spec = {"aliases": {"of": of}, "agents": EVERYONE}
    await stage.create("Measurement", name, spec)


async def wait_told(stage: Stage, name: str, reason: str, *words: str) -> None:
    """Waits until it is told why a measurement waits, which has a remedy."""
    found = await stage.wait_reason(reason, name)
    assert read_condition(found, "Ready")[0] == "False"
    message = tell(found)
    assert all(word in message for word in words), message
    assert REMEDIES[reason]
    assert "startTime" not in found["status"]


def tell(found: dict[str, Any]) -> str:
    """The message of Ready."""
    conditions = found["status"]["conditions"]
    (message,) = (each["message"] for each in conditions if each["type"] == "Ready")
    return str(message)


def test_it_says_what_it_waits_for(theatre: Theatre) -> None:
    """Nothing is there of this name, or it is elsewhere, or it has no paths."""

    async def act(stage: Stage) -> None:
        await set_agents(stage)
        async with operating(stage):
            await compare(stage, NAME, of="survey")
            missing = f"no Measurement 'survey' in namespace {stage.namespace!r}"
            await wait_told(stage, NAME, "SubjectMissing", missing)
            system = stage.settings.namespace
            spec = {"aliases": {"of": "nothing"}, "agents": EVERYONE}
            await stage.create("Measurement", "survey", spec, namespace=system)
            await compare(stage, "more", of=NAME)
            await wait_told(stage, "more", "SubjectUnusable", "aliases itself")
            await wait_told(stage, NAME, "SubjectMissing", missing)

    theatre.play(act)


def test_it_starts_once_what_it_compares_is_complete(theatre: Theatre) -> None:
    """Until then it waits, and then it goes over just this run."""

    async def act(stage: Stage) -> None:
        await set_stage(stage, suspend=True)
        async with operating(stage):
            await compare(stage, NAME, of="survey")
            await wait_told(stage, NAME, "SubjectNotComplete", "it starts when it is")
            await stage.change("Measurement", "survey", suspend=False)
            await stage.wait_condition("survey", "Complete", seconds=60)
            found = await stage.wait(
                "Measurement", NAME, lambda it: "startTime" in it.get("status", {})
            )
            subject = await stage.get("Measurement", "survey")
            assert found["status"]["subject"] == {
                "uid": subject["metadata"]["uid"],
                "runId": subject["status"]["runId"],
            }

    theatre.play(act)
