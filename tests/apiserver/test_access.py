"""Each agent has credentials of its own, which reach what it needs and nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.cluster.objects import Place
from anabranch.store.access import Reach, write_bucket_policy
from anabranch.store.gateway import Gateway
from anabranch.store.s3 import S3Store, StoreError
from stage import Stage, read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from agents import Site
    from devcluster.s3 import S3
    from theatre import Theatre


async def find_secret(stage: Stage, name: str) -> dict[str, Any]:
    """The Secret that the pod of an agent takes, once there is a pod."""
    system = stage.settings.namespace
    place = Place("Pod", system, f"anabranch-agent-{name}")

    async def is_there() -> bool:
        return await stage.objects.get(place) is not None

    await stage.until(f"the pod of {name}", is_there)
    pod = await stage.objects.get(place)
    assert pod
    (container,) = pod["spec"]["containers"]
    (source,) = container["envFrom"]
    secret = await stage.objects.get(
        Place("Secret", system, source["secretRef"]["name"])
    )
    assert secret
    return secret


def enter(stage: Stage, secret: dict[str, Any]) -> S3Store:
    """The store as whoever has a Secret sees it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in secret["data"].items():
            patch.setenv(name, base64.b64decode(value).decode())
        store = S3Store(stage.store.bucket, endpoint_url=stage.store.endpoint)
        store.find_credentials()
        return store


async def check_silence(stage: Stage, encoded: list[str]) -> None:
    """Whether no object but Secrets tells a secret, and the store neither."""
    secrets = [base64.b64decode(each).decode() for each in encoded]
    secrets.append(stage.store.find_credentials().secret_key or "")
    told = ""
    for namespace in (stage.namespace, stage.settings.namespace):
        for kind in (
            "Agent",
            "Measurement",
            "Round",
            "TargetList",
            "Event",
            "Pod",
            "Job",
        ):
            told += json.dumps(await stage.find_all(kind, namespace))
    for folder in ("agents", "surveys", "lists"):
        for key in stage.store.list(folder):
            told += stage.store.get(key).decode(errors="replace")
    assert not any(secret in told for secret in secrets)


def test_the_operator_gives_each_agent_a_user_of_the_gateway(theatre: Theatre) -> None:
    """Whose Secret goes with the Agent, and who reaches its runs and its team's."""

    async def act(stage: Stage) -> None:
        team = {"name": "europe", "selector": {}, "targetList": "list"}
        team["division"] = "shared"
        async with operating(stage):
            await set_stage(stage, agents=[team])
            secrets = [await find_secret(stage, name) for name in ("paris", "tokyo")]
            system = stage.settings.namespace
            agent = await stage.get("Agent", "paris", system)
            (owner,) = secrets[0]["metadata"]["ownerReferences"]
            assert owner["uid"] == agent["metadata"]["uid"]
            assert read_condition(agent, "StoreConfined") == ("True", "OwnCredentials")
            await stage.wait(
                "Measurement",
                "survey",
                lambda it: read_condition(it, "Complete")[0] == "True",
            )
        uid = (await stage.get("Measurement", "survey"))["metadata"]["uid"]
        (links,) = (
            key for key in stage.store.list(f"surveys/{uid}") if "/links.p" in key
        )
        before = stage.store.get(links)
        keys = list(stage.store.list(f"agents/europe/{uid}"))
        plan = next(key for key in keys if key.endswith("/plan.parquet"))
        for store in [enter(stage, secret) for secret in secrets]:
            parts = f"{plan.removesuffix('/plan.parquet')}/replies"
            assert list(store.list(parts)) == list(stage.store.list(parts)) != []
            assert store.get(plan) == stage.store.get(plan)
            for forbidden in (
                lambda store=store: list(store.list("")),
                lambda store=store: store.get(links),
                lambda store=store: store.put(links, b""),
                lambda store=store: store.put("surveys/new", b""),
            ):
                with pytest.raises(StoreError, match="AccessDenied"):
                    forbidden()
        with pytest.raises(StoreError, match="AccessDenied"):
            enter(stage, secrets[0]).get(plan.replace("/europe/", "/tokyo/"))
        assert stage.store.get(links) == before
        await check_silence(
            stage, [s["data"]["AWS_SECRET_ACCESS_KEY"] for s in secrets]
        )

    replace(theatre, store={"isGateway": True}).play(act)


def test_an_agent_with_shared_credentials_says_so(theatre: Theatre) -> None:
    """As one that has those of everybody."""

    async def act(stage: Stage) -> None:
        async with operating(stage):
            system = stage.settings.namespace
            await stage.create("Agent", "paris", {"nodeName": "n1"}, namespace=system)
            agent = await stage.wait(
                "Agent",
                "paris",
                lambda it: read_condition(it, "StoreConfined")[1] != "",
            )
            told = read_condition(agent, "StoreConfined")
            assert told == ("False", "SharedCredentials")

    theatre.play(act)


def test_a_round_is_probed_with_an_agents_own_credentials(site: Site, s3: S3) -> None:
    """And no step of a run asks for more."""
    root = S3Store(s3.bucket, endpoint_url=s3.url)
    gateway = Gateway(root)
    gateway.put_user(site.agent, "its own")
    reach = Reach(frozenset({site.agent}))
    gateway.put_policy(write_bucket_policy(s3.bucket, {site.agent: reach}))
    site.environment |= {
        "AWS_ACCESS_KEY_ID": site.agent,
        "AWS_SECRET_ACCESS_KEY": "its own",
    }
    probed = site.create_round(
        [f"240.0.{number}.0/24,udp,1,10,1" for number in range(9)]
    )
    with site.run_agent():
        status = site.wait_complete(probed.name)
    assert status["probesSent"] == 90
    assert status["parts"] == len(list(root.list(probed.keys.replies)))
