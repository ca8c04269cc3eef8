"""What a TargetList says of what it holds."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

from anabranch.cluster.objects import Place
from anabranch.manifests.labels import CYCLE
from annotationfiles import make_rib
from stage import MERGE, Stage, read_condition
from theatre import LIST, operating, set_agents

if TYPE_CHECKING:
    from theatre import Theatre

RIB = make_rib(
    {
        "1.0.0.0/22": [(1, 2), (3, 2)],
        "1.1.0.0/24": [(1, 4)],
        "2600::/32": [(1, 5), (3, 5)],
    }
)
GOOD = "240.0.0.0/22,udp,1,32,6\n240.1.0.0/24,icmp,1,32,6\n"


async def wait_list(stage: Stage, reason: str, name: str = "list") -> dict[str, Any]:
    """Waits until a list's Ready has a reason; its status."""
    found = await stage.wait(
        "TargetList", name, lambda it: read_condition(it, "Ready")[1] == reason
    )
    status: dict[str, Any] = found["status"]
    return status


async def put_config_map(stage: Stage, **content: Any) -> None:
    """Makes the ConfigMap ``targets``, or changes it."""
    place = Place("ConfigMap", stage.namespace, "targets")
    if await stage.objects.get(place):
        await stage.cluster.request("PATCH", place.path, body=content, content=MERGE)
        return
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "targets", "namespace": stage.namespace},
    }
    folder = Place("ConfigMap", stage.namespace).path
    await stage.cluster.request("POST", folder, body=body | content)


async def have_looked(stage: Stage) -> None:
    """Has the list be looked at before its time: nobody tells of a ConfigMap."""
    place = Place("TargetList", stage.namespace, "list")
    await stage.objects.patch(place, {"metadata": {"annotations": {"looked": "at"}}})


def test_a_list_is_counted_and_its_canonical_form_stored(theatre: Theatre) -> None:
    """Under its digest, which measurements pin."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await stage.create("TargetList", "list", LIST)
            status = await wait_list(stage, "Checked")
            assert status["prefixes"] == 4
            assert status["entries"] == status["lines"] == 1
            stored = stage.store.get(f"shared/{status['digest']}")
            assert stored == b"240.0.0.0/22,udp,1,10,6\n"

    theatre.play(act)


def test_bad_lines_are_told_by_number(theatre: Theatre) -> None:
    """Nothing of such a list is used, until it is mended."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            bad = "".join(f"line {n}\n" for n in range(120))
            await put_config_map(stage, data={"targets.csv": GOOD + bad})
            await stage.create("TargetList", "list", {"configMap": {"name": "targets"}})
            status = await wait_list(stage, "BadLines")
            assert status["problemCount"] == 120
            assert len(status["problems"]) == 100
            assert status["problems"][0]["line"] == 3
            assert "digest" not in status
            zstd = base64.b64encode(GOOD.encode()).decode()
            await put_config_map(
                stage, data={"targets.csv": None}, binaryData={"targets.csv": zstd}
            )
            await have_looked(stage)
            status = await wait_list(stage, "Checked")
            assert status["prefixes"] == 5

    theatre.play(act)


def test_what_is_missing_is_named(theatre: Theatre) -> None:
    """A ConfigMap, its key, an object of the store, and what is for one machine."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await stage.create("TargetList", "list", {"configMap": {"name": "targets"}})
            await wait_list(stage, "ConfigMapMissing")
            await put_config_map(stage, data={"other.csv": GOOD})
            await have_looked(stage)
            status = await wait_list(stage, "KeyMissing")
            (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
            assert "it has other.csv" in ready["message"]
            await stage.create("TargetList", "far", {"object": {"key": "no/such.csv"}})
            status = await wait_list(stage, "ObjectMissing", "far")
            (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
            assert "no/such.csv" in ready["message"]

    theatre.play(act)


def test_routed_prefixes_are_counted_by_24_and_48(theatre: Theatre) -> None:
    """Of a table in the store or in a ConfigMap; what is wrong with it is told."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await put_config_map(stage, data={"routes.pfx2as": "1.0.0.0\t22\t1\n"})
            routes = {"configMap": {"name": "targets"}, "minPeers": 2}
            await stage.create("TargetList", "text", {"routes": routes})
            status = await wait_list(stage, "ListUnusable", "text")
            (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
            assert "line 1: prefix2as does not say how many peers" in ready["message"]
            stage.store.put("routes/rib.gz", gzip.compress(RIB))
            routes = {"object": {"key": "routes/rib.gz"}, "minPeers": 2}
            await stage.create("TargetList", "list", {"routes": routes})
            status = await wait_list(stage, "Checked")
            assert (status["lines"], status["entries"]) == (3, 2)
            assert status["prefixes"] == 4 + 1
            stored = stage.store.get(f"shared/{status['digest']}")
            assert stored == b"1.0.0.0/22,udp,2,32,6\n2600::/48,udp,2,32,6\n"

    theatre.play(act)


def test_the_reports_on_a_list_go_with_it(theatre: Theatre) -> None:
    """Of all of its versions; the list itself stays, since runs may share it."""

    async def act(stage: Stage) -> None:
        def find_reports() -> set[str]:
            return {key.split("/")[1] for key in stage.store.list("lists")}

        async with operating(stage):
            await stage.create("TargetList", "list", LIST)
            await stage.create("TargetList", "other", LIST)
            await wait_list(stage, "Checked")
            await stage.change(
                "TargetList", "list", entries=[{"target": "240.1.0.0/24"}]
            )
            for name in ("list", "other"):
                await wait_list(stage, "Checked", name)
            lists = await stage.find_all("TargetList")
            uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in lists}
            assert find_reports() == set(uids.values())
            place = Place("TargetList", stage.namespace, "list")
            await stage.cluster.request("DELETE", place.path)

            async def are_gone() -> bool:
                return find_reports() == {uids["other"]}

            await stage.until("its reports to go", are_gone)
        assert list(stage.store.list("shared"))

    theatre.play(act)


def test_each_cycle_begins_with_the_list_as_it_is_then(theatre: Theatre) -> None:
    """An object that was replaced under its key is read again, though nobody tells."""
    old, new = (make_rib({net: [(1, 2)]}) for net in ("240.0.0.0/23", "240.0.1.0/24"))
    key = "routes/rib"
    routed = {"name": "all", "selector": {}, "targetList": "list"}
    template = {"diamondMiner": {}, "agents": [routed], "minAgents": 2, "maxRounds": 1}

    async def find_pinned(stage: Stage, cycle: int) -> bytes:
        name = f"survey-{cycle:06}"
        done = await stage.wait_condition(name, "Complete", seconds=90)
        (pinned,) = done["status"]["targetLists"]
        content: bytes = stage.store.get(f"shared/{pinned['digest']}")
        return content

    async def act(stage: Stage) -> None:
        async with operating(stage):
            await set_agents(stage)
            stage.store.create_bucket()
            stage.store.put(key, old)
            routes = {"object": {"key": key}, "allowReserved": True, "maxTtl": 10}
            await stage.create("TargetList", "list", {"routes": routes})
            await wait_list(stage, "Checked")
            spec = {"continuous": True, "measurementTemplate": {"spec": template}}
            await stage.create("Survey", "survey", spec)
            assert await find_pinned(stage, 1) == b"240.0.0.0/23,udp,2,10,6\n"
            await stage.change("Survey", "survey", suspend=True)
            stage.store.remove("routes")
            stage.store.put(key, new)
            cycles = await stage.find_all("Measurement")
            latest = max(int(each["metadata"]["labels"][CYCLE]) for each in cycles)
            await stage.change("Survey", "survey", suspend=False)
            found = await find_pinned(stage, latest + 1)
            assert found == b"240.0.1.0/24,udp,2,10,6\n"

    theatre.play(act)
