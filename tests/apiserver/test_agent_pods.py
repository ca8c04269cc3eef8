"""Each Agent is a pod, for as long as it is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import Place
from anabranch.manifests.settings import EnrolSettings
from stage import MERGE, Stage, read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from theatre import Theatre

AGENT = {"nodeName": "n1"}
NODES = "/api/v1/nodes"


async def create_agent(stage: Stage, name: str = "paris") -> None:
    """An agent in the system namespace."""
    await stage.create("Agent", name, AGENT, namespace=stage.settings.namespace)


async def find_pod(stage: Stage, name: str = "paris") -> dict[str, Any] | None:
    """The pod of an agent."""
    place = Place("Pod", stage.settings.namespace, f"anabranch-agent-{name}")
    return await stage.objects.get(place)


async def wait_other_pod(stage: Stage, uid: str) -> dict[str, Any]:
    """Waits for another pod than that of a UID."""

    async def is_another() -> bool:
        pod = await find_pod(stage)
        return pod is not None and pod["metadata"]["uid"] != uid

    await stage.until("another pod", is_another, 60)
    pod = await find_pod(stage)
    assert pod
    return pod


async def wait_agent(stage: Stage, reason: str, name: str = "paris") -> dict[str, Any]:
    """Waits until an agent's Ready has a reason."""
    return await stage.wait(
        "Agent", name, lambda it: read_condition(it, "Ready")[1] == reason
    )


def test_an_agent_is_a_pod_on_its_node_that_goes_with_it(theatre: Theatre) -> None:
    """In the node's network, privileged, and told who it is."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await create_agent(stage)
            agent = await wait_agent(stage, "PodReady")
            pod = await find_pod(stage)
            assert pod
            spec, (owner,) = pod["spec"], pod["metadata"]["ownerReferences"]
            assert owner["uid"] == agent["metadata"]["uid"]
            assert spec["hostNetwork"]
            assert spec["containers"][0]["securityContext"]["privileged"]
            affinity = spec["affinity"]["nodeAffinity"]
            terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
            (term,) = terms["nodeSelectorTerms"]
            assert term["matchFields"][0]["values"] == ["n1"]
            assert agent["status"]["podName"] == pod["metadata"]["name"]
            assert agent["status"]["version"] == "1"

    theatre.play(act)


def test_a_pod_that_is_gone_or_has_ended_is_made_again(theatre: Theatre) -> None:
    """However it ended."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await create_agent(stage)
            await wait_agent(stage, "PodReady")
            pod = await find_pod(stage)
            assert pod
            uid = pod["metadata"]["uid"]
            place = Place("Pod", stage.settings.namespace, pod["metadata"]["name"])
            await stage.objects.delete(place, uid)
            pod = await wait_other_pod(stage, uid)
            await wait_agent(stage, "PodReady")
            evicted = {"phase": "Failed", "reason": "Evicted", "message": "disk"}
            await stage.cluster.request(
                "PATCH", f"{place.path}/status", body={"status": evicted}, content=MERGE
            )
            await wait_other_pod(stage, pod["metadata"]["uid"])

    theatre.play(act)


def test_a_pod_is_replaced_between_rounds(theatre: Theatre) -> None:
    """By one of the new template; until then it gets no new Round."""

    async def act(stage: Stage) -> None:
        stage.is_probing = False
        async with operating(stage):
            await set_stage(stage)

            async def are_probing() -> bool:
                return len(await stage.find_all("Round")) == 2

            await stage.until("both Rounds", are_probing)
            pod = await find_pod(stage)
            assert pod
        agents = stage.settings.agents.model_copy(update={"image": "agent:2"})
        stage.settings = stage.settings.model_copy(update={"agents": agents})
        async with operating(stage):
            await wait_agent(stage, "Draining")
            await asyncio.sleep(1)
            same = await find_pod(stage)
            assert same
            assert same["metadata"]["uid"] == pod["metadata"]["uid"]
            stage.is_probing = True
            pod = await wait_other_pod(stage, pod["metadata"]["uid"])
            assert pod["spec"]["containers"][0]["image"] == "agent:2"
            await stage.wait_condition("survey", "Complete", seconds=60)

    theatre.play(act)


def test_a_namespace_that_forbids_privileged_pods_is_told(theatre: Theatre) -> None:
    """With the label that decides it; once it is right, agents run."""

    async def act(stage: Stage) -> None:
        path = f"/api/v1/namespaces/{stage.settings.namespace}"
        key = "pod-security.kubernetes.io/enforce"
        labels = {"metadata": {"labels": {key: "restricted"}}}
        await stage.cluster.request("PATCH", path, body=labels, content=MERGE)
        async with operating(stage):
            await create_agent(stage)
            agent = await wait_agent(stage, "PodForbidden")
            assert read_condition(agent, "Stalled")[0] == "True"
            (ready,) = (
                c for c in agent["status"]["conditions"] if c["type"] == "Ready"
            )
            assert key in ready["message"]
            await stage.settle()

    theatre.play(act)


def test_less_than_privileged_is_what_raw_sockets_take(theatre: Theatre) -> None:
    """Two capabilities, and all others dropped; even a baseline can't allow it."""

    async def act(stage: Stage) -> None:
        agents = stage.settings.agents.model_copy(update={"privileged": False})
        stage.settings = stage.settings.model_copy(update={"agents": agents})
        async with operating(stage):
            await create_agent(stage)
            await wait_agent(stage, "PodReady")
            pod = await find_pod(stage)
            assert pod
            security = pod["spec"]["containers"][0]["securityContext"]
            assert not security["privileged"]
            capabilities = {"add": ["NET_RAW", "NET_ADMIN"], "drop": ["ALL"]}
            assert security["capabilities"] == capabilities

    theatre.play(act)


def test_a_pod_in_the_way_is_left_alone(theatre: Theatre) -> None:
    """The agent is stalled, and says why."""

    async def act(stage: Stage) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "anabranch-agent-paris",
                "namespace": stage.settings.namespace,
            },
            "spec": {"containers": [{"name": "other", "image": "other"}]},
        }
        path = Place("Pod", stage.settings.namespace).path
        await stage.cluster.request("POST", path, body=pod)
        async with operating(stage):
            await create_agent(stage)
            await wait_agent(stage, "NameTaken")
            found = await find_pod(stage)
            assert found
            assert found["spec"]["containers"][0]["image"] == "other"

    theatre.play(act)


def test_a_node_is_one_vantage_point(theatre: Theatre) -> None:
    """A second agent there has no pod until the first one is gone."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await create_agent(stage)
            await wait_agent(stage, "PodReady")
            await asyncio.sleep(1)  # creation times are told by the second
            await create_agent(stage, "rome")
            rome = await wait_agent(stage, "NodeTaken", "rome")
            assert read_condition(rome, "Stalled")[0] == "True"
            assert await find_pod(stage, "rome") is None
            place = Place("Agent", stage.settings.namespace, "paris")
            found = await stage.objects.get(place)
            assert found
            await stage.objects.delete(place, found["metadata"]["uid"])
        async with operating(stage):
            await wait_agent(stage, "PodReady", "rome")

    theatre.play(act)


def test_agents_elsewhere_do_not_count(theatre: Theatre) -> None:
    """Only admins may write to the system namespace."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await stage.create("Agent", "mine", AGENT)
            await stage.create("ProbingPolicy", "default", {"contact": "me@here"})
            place = Place("Agent", stage.namespace, "mine")
            policy = Place("ProbingPolicy", stage.namespace, "default")

            async def are_refused() -> bool:
                found = [await stage.objects.get(each) for each in (place, policy)]
                reasons = [each and read_condition(each, "Ready") for each in found]
                return set(reasons) == {("False", "WrongNamespace")}

            await stage.until("refusals", are_refused)
            assert await stage.find_all("Pod", stage.namespace) == []

    theatre.play(act)


def test_nodes_with_a_label_are_agents(theatre: Theatre) -> None:
    """As long as they have it."""

    async def act(stage: Stage) -> None:
        label = "anabranch.dev/vantage-point"
        name = f"node-{stage.namespace[-8:]}"
        enrol = EnrolSettings(label=label, labels={"team": "a"}, spec={"minTtl": 3})
        agents = stage.settings.agents.model_copy(update={"enrol": enrol})
        stage.settings = stage.settings.model_copy(update={"agents": agents})
        metadata = {"name": name, "labels": {label: "true"}}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        await stage.cluster.request("POST", NODES, body=node)
        try:
            async with operating(stage):
                agent = await wait_agent(stage, "PodReady", name)
                assert agent["spec"]["nodeName"] == name
                assert agent["spec"]["minTtl"] == 3
                assert agent["metadata"]["labels"]["team"] == "a"
                without = {"metadata": {"labels": {label: "false"}}}
                path = f"{NODES}/{name}"
                await stage.cluster.request("PATCH", path, body=without, content=MERGE)
                place = Place("Agent", stage.settings.namespace, name)

                async def is_gone() -> bool:
                    return await stage.objects.get(place) is None

                await stage.until("the agent to go", is_gone)
        finally:
            await stage.cluster.request("DELETE", f"{NODES}/{name}")

    theatre.play(act)
