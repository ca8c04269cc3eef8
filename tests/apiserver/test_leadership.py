"""One operator leads, others stand by; each says how it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.cluster.objects import Place
from anabranch.control.election import NAME, Election, LostError
from anabranch_agent.config import Times
from anabranch_agent.deadman import DeadMan
from anabranch_agent.lease import LeaseKeeper
from devcluster.process import find_free_ports
from theatre import operating, set_stage

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from stage import Stage
    from theatre import Theatre

LEASE_SECONDS = Election.lease_seconds


@pytest.fixture
def theatre(theatre: Theatre) -> Theatre:
    """One whose operators lead no longer than those of clusters."""
    return replace(theatre, lease_seconds=LEASE_SECONDS)


async def find_holder(stage: Stage) -> str:
    """Who leads, if anybody does."""
    found = await stage.objects.get(Place("Lease", stage.settings.namespace, NAME))
    holder: str = found["spec"].get("holderIdentity", "") if found else ""
    return holder


async def wait_holder(stage: Stage, holder: str, seconds: float = 30) -> None:
    """Waits until someone leads."""

    async def holds() -> bool:
        return await find_holder(stage) == holder

    await stage.until(f"{holder or 'nobody'} to lead", holds, seconds)


def fetch(port: int, path: str) -> tuple[int, str]:
    """What an operator answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextlib.asynccontextmanager
async def run_process(stage: Stage, folder: Path) -> AsyncIterator[Process]:
    """An operator as a process, which is killed in the end if it still runs."""
    file = folder / "settings.yaml"
    settings = stage.settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    file.write_text(yaml.safe_dump(settings))
    (port,) = find_free_ports(1)
    words = ["operator", "--settings", str(file), "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "anabranch", *words, env=os.environ
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_one_leads_and_the_next_one_takes_over(theatre: Theatre) -> None:
    """Once nothing was heard of the first one for as long as its Lease says."""

    async def act(stage: Stage) -> None:
        async with operating(stage, "first"):
            await wait_holder(stage, "first")
            async with operating(stage, "second"):
                await set_stage(stage)
                await stage.wait_condition("survey", "Complete")
                assert await find_holder(stage) == "first"
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with operating(stage, "third"):
            await wait_holder(stage, "third", LEASE_SECONDS + 10)
            assert loop.time() - begin > LEASE_SECONDS - 5
            await stage.change("Measurement", "survey", runId="2")
            found = await stage.wait_condition("survey", "Complete")
            assert found["status"]["runId"] == "2"

    theatre.play(act)


def test_a_survey_does_not_notice_a_failover(theatre: Theatre, tmp_path: Path) -> None:
    """Whether its leader was killed or robbed; another one stands by."""
    seen: list[dict[str, Any]] = []

    async def undisturbed(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            seen.append(await stage.finish())

    async def fail_over(stage: Stage, *, robs: bool) -> None:
        stage.is_probing = False
        async with run_process(stage, tmp_path) as first:
            await wait_holder(stage, f"{socket.gethostname()}_{first.pid}")
            async with operating(stage, "second"):
                await set_stage(stage)
                await stage.wait_rounds(2)
                if robs:
                    place = Place("Lease", stage.settings.namespace, NAME)
                    stolen = {"spec": {"holderIdentity": "thief"}}
                    await stage.objects.patch(place, stolen)
                else:
                    first.kill()
                assert await first.wait() == (1 if robs else -signal.SIGKILL)
                stage.is_probing = True
                await wait_holder(stage, "second", LEASE_SECONDS + 10)
                seen.append(await stage.finish())

    theatre.play(undisturbed)
    for robs in (False, True):
        theatre.renew().play(partial(fail_over, robs=robs))
    assert seen == [seen[0]] * 3


def test_who_lost_the_lease_does_nothing_more(theatre: Theatre) -> None:
    """The process ends: Kubernetes starts another one."""

    async def act(stage: Stage) -> None:
        ended = pytest.RaisesGroup(LostError, flatten_subgroups=True)
        with ended:
            await lose(stage)
        survey = await stage.get("Measurement", "survey")
        assert survey["status"] == {"observedGeneration": -1}

    async def lose(stage: Stage) -> None:
        async with operating(stage, "first") as ends:
            await wait_holder(stage, "first")
            place = Place("Lease", stage.settings.namespace, NAME)
            stolen = {"spec": {"holderIdentity": "thief"}}
            await stage.objects.patch(place, stolen)
            await asyncio.wait({ends}, timeout=180)
            await set_stage(stage)
            await asyncio.sleep(2)

    theatre.play(act)


def test_the_process_leaves_the_lease_to_the_next_one(
    theatre: Theatre, tmp_path: Path
) -> None:
    """At SIGTERM, and with exit code 0."""

    async def act(stage: Stage) -> None:
        async with run_process(stage, tmp_path) as process:

            async def leads() -> bool:
                return await find_holder(stage) != ""

            await stage.until("it to lead", leads)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(180):
                assert await process.wait() == 0
            assert await find_holder(stage) == ""

    theatre.play(act)


def test_health_and_metrics_tell_the_truth(theatre: Theatre) -> None:
    """What it waits for, that it is ready, and what there is."""

    async def act(stage: Stage) -> None:
        (port,) = find_free_ports(1)
        bucket = stage.store
        stage.store = type(bucket)(bucket.bucket, endpoint_url="http://127.0.0.1:9")
        async with operating(stage, port=port):

            async def lacks_the_store() -> bool:
                try:
                    code, told = await asyncio.to_thread(fetch, port, "/readyz")
                except urllib.error.URLError:
                    return False  # It is not served yet.
                return code == 503 and "the object store" in told

            await stage.until("it to miss the store", lacks_the_store)
            assert (await asyncio.to_thread(fetch, port, "/healthz"))[0] == 200
        stage.store = bucket
        async with operating(stage, port=port):
            await set_stage(stage)
            await stage.wait_condition("survey", "Complete")
            assert await asyncio.to_thread(fetch, port, "/readyz") == (200, "ok")
            _, told = await asyncio.to_thread(fetch, port, "/metrics")
            lines = told.splitlines()
            for line in (
                'anabranch_measurements{state="complete"} 1.0',
                'anabranch_agents{reason="PodReady",state="ready"} 2.0',
                'anabranch_rounds{state="probing"} 0.0',
                'anabranch_target_lists{state="ready"} 1.0',
                'anabranch_jobs{component="results-job",state="complete"} 1.0',
                "anabranch_policy_present 1.0",
                "anabranch_operator_leading 1.0",
                'anabranch_operator_failing_objects{kind="Measurement"} 0.0',
            ):
                assert line in lines

    theatre.play(act)


def test_settings_that_are_wrong_are_told(tmp_path: Path) -> None:
    """All of them, by field, before anything is asked of a cluster."""
    file = tmp_path / "settings.yaml"
    file.write_text("namespace: Wrong\nstore: {bucket: x}\njobs: {}\nagents: {}\n")
    command = [sys.executable, "-m", "anabranch", "operator", "--settings", str(file)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    for place in ("namespace", "store.bucket", "jobs.image", "agents.image"):
        assert f"{file}: {place}: " in done.stderr


def test_an_agent_leaves_its_lease_though_a_renewal_was_under_way(
    theatre: Theatre,
) -> None:
    """Of which it never heard: the next one would wait 80 seconds for nothing."""

    async def act(stage: Stage) -> None:
        namespace = stage.settings.namespace
        await stage.create("Agent", "lyon", {"nodeName": "n9"}, namespace)
        agent = await stage.get("Agent", "lyon", namespace)
        place = Place("Lease", namespace, "anabranch-agent-lyon")
        deadman = DeadMan(40)
        keeper = LeaseKeeper(
            cluster=stage.cluster,
            namespace=namespace,
            agent="lyon",
            holder="pod-1",
            deadman=deadman,
            changed=lambda: None,
            clock=time.monotonic,
            wall_clock=lambda: datetime.now(UTC),
            times=Times(),
            owner=lambda: {
                "apiVersion": agent["apiVersion"],
                "kind": "Agent",
                "name": "lyon",
                "uid": agent["metadata"]["uid"],
            },
        )
        renewing = asyncio.create_task(keeper.run())

        async def is_held() -> bool:
            return deadman.is_held(time.monotonic())

        await stage.until("the Lease", is_held)
        renewing.cancel()
        changed = {"spec": {"renewTime": "2026-12-01T00:00:00.000000Z"}}
        await stage.objects.patch(place, changed)
        await keeper.release()
        left = await stage.objects.get(place)
        assert left is not None
        assert left["spec"].get("holderIdentity", "") == ""

    theatre.play(act)
