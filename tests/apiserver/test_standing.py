"""The operator has agents serve a standing measurement, as a real API server says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import Place
from stage import read_condition
from theatre import POLICY, operating

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

WATCH = {"source": "kernel", "ports": [443]}
NAME = "survey"


async def set_up(stage: Stage, **spec: Any) -> None:
    """A measurement of connections, and two agents that it chooses."""
    system = stage.settings.namespace
    await stage.create("ProbingPolicy", "default", POLICY, namespace=system)
    for name, node in (("paris", "n1"), ("tokyo", "n2")):
        await add_agent(stage, name, node)
    chosen = {"matchLabels": {"role": "server"}}
    entry = {"name": "servers", "selector": chosen, "connections": WATCH}
    await stage.create("Measurement", NAME, {"trace": {}, "agents": [entry]} | spec)


async def add_agent(stage: Stage, name: str, node: str, **spec: Any) -> None:
    """An agent that is labelled as a server."""
    system, labels = stage.settings.namespace, {"role": "server"}
    spec |= {"nodeName": node, "allowReserved": True}
    await stage.create("Agent", name, spec, namespace=system, labels=labels)


async def change_watch(stage: Stage, **watch: Any) -> None:
    """Changes the connections of the only entry."""
    found = await stage.get("Measurement", NAME)
    (entry,) = found["spec"]["agents"]
    await stage.change(
        "Measurement", NAME, agents=[entry | {"connections": WATCH | watch}]
    )


async def wait_serving(stage: Stage, summary: str) -> dict[str, Any]:
    """Waits until so many agents serve; the measurement then."""

    def holds(found: dict[str, Any]) -> bool:
        is_serving = read_condition(found, "Ready") == ("True", "Serving")
        return is_serving and found["status"].get("agentsSummary") == summary

    return await stage.wait("Measurement", NAME, holds)


async def list_agents(stage: Stage) -> list[str]:
    """Whose Rounds there are."""
    rounds = await stage.find_all("Round")
    return sorted(each["spec"]["agent"] for each in rounds)


async def wait_agents(stage: Stage, *names: str) -> None:
    """Waits until just these agents have a Round."""

    async def are_there() -> bool:
        return await list_agents(stage) == [*names]

    await stage.until(f"Rounds of {names}", are_there)


def test_it_serves_until_it_is_removed(theatre: Theatre) -> None:
    """It is suspended, goes on and is changed; nothing else is made for it."""

    async def act(stage: Stage) -> None:
        await set_up(stage)
        async with operating(stage):
            found = await wait_serving(stage, "2/2")
            assert "startTime" not in found["status"]
            assert read_condition(found, "Complete") == ("False", "InProgress")
            first = {each["metadata"]["uid"] for each in await stage.find_all("Round")}
            await stage.change("Measurement", NAME, suspend=True)
            await stage.wait_reason("Suspended")
            await stage.wait_condition(NAME, "Suspended")
            await stage.change("Measurement", NAME, suspend=False)
            await wait_serving(stage, "2/2")
            same = {each["metadata"]["uid"] for each in await stage.find_all("Round")}
            assert same == first
            await change_watch(stage, anonymize="netblock")

            async def are_new() -> bool:
                rounds = await stage.find_all("Round")
                kept = [r["spec"]["standing"]["connections"] for r in rounds]
                return [each["anonymize"] for each in kept] == 2 * ["netblock"]

            await stage.until("Rounds of the new spec", are_new)
            found = await wait_serving(stage, "2/2")
            assert not await stage.find_jobs(found["metadata"]["uid"])
            assert not list(stage.store.list(""))
        await stage.objects.delete(
            Place("Measurement", stage.namespace, NAME), found["metadata"]["uid"]
        )
        for each in await stage.find_all("Round"):
            (owner,) = each["metadata"]["ownerReferences"]
            assert owner["uid"] == found["metadata"]["uid"]

    theatre.play(act)


def test_agents_join_and_leave(theatre: Theatre) -> None:
    """As admins add, label and remove them, whatever operator looks."""

    async def act(stage: Stage) -> None:
        await set_up(stage)
        system = stage.settings.namespace
        async with operating(stage):
            await wait_serving(stage, "2/2")
            await add_agent(stage, "quito", "n3")
            await wait_serving(stage, "3/3")
        tokyo = Place("Agent", system, "tokyo")
        await stage.objects.patch(tokyo, {"metadata": {"labels": {"role": "spare"}}})
        async with operating(stage):
            await wait_agents(stage, "paris", "quito")
            await wait_serving(stage, "2/2")
            paris = Place("Agent", system, "paris")
            await stage.objects.patch(paris, {"metadata": {"labels": {"role": None}}})
            await wait_agents(stage, "quito")
            await stage.objects.patch(
                paris, {"metadata": {"labels": {"role": "server"}}}
            )
            await wait_agents(stage, "paris", "quito")
            quito = await stage.get("Agent", "quito", system)
            await stage.objects.delete(
                Place("Agent", system, "quito"), quito["metadata"]["uid"]
            )
            await wait_agents(stage, "paris")
            await wait_serving(stage, "1/1")

    theatre.play(act)


def test_an_operator_that_starts_changes_nothing(theatre: Theatre) -> None:
    """Rounds stay those that they were, and so do all versions."""

    async def act(stage: Stage) -> None:
        await set_up(stage)
        async with operating(stage):
            await wait_serving(stage, "2/2")
        before = await stage.take_versions()
        async with operating(stage):
            await stage.change("Measurement", NAME, minAgents=2)
            found = await wait_serving(stage, "2/2")
        after = await stage.take_versions()
        changed = {uid for uid in before if before[uid] != after.get(uid)}
        assert changed == {found["metadata"]["uid"]}
        assert after.keys() == before.keys()

    theatre.play(act)


def test_a_socket_of_events_is_the_admins_word(theatre: Theatre) -> None:
    """Without it the agent can't serve; with it, its pod sees the folder."""

    async def act(stage: Stage) -> None:
        await set_up(stage)
        system = stage.settings.namespace
        async with operating(stage):
            await wait_serving(stage, "2/2")
            await change_watch(stage, source="eventSocket")
            await stage.wait_reason("EventSocketMissing")
            await wait_agents(stage)
            await stage.objects.patch(
                Place("Agent", system, "paris"),
                {"spec": {"eventSocket": "/var/local/info/socket"}},
            )
            await wait_serving(stage, "1/2")
            await wait_agents(stage, "paris")

            async def sees_it() -> bool:
                pods = await stage.find_all("Pod", system)
                return "/var/local/info" in str(pods)

            # Its pod is made anew, though its Round goes on.
            await stage.until("another pod", sees_it)
            await wait_serving(stage, "1/2")

    theatre.play(act)
