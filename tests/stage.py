"""A cluster without nodes and controllers, whose parts tests play themselves.

The API server and the store are real. Jobs are done here, agents probe a simulated
Internet in process, and pods run because it is said that they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from anabranch_engine import Plan, Simulation

from anabranch import cli
from anabranch.cli import job as job_command
from anabranch.cluster.client import Cluster, RefusedError
from anabranch.cluster.objects import Objects, Place
from anabranch.manifests.labels import COMPONENT, MEASUREMENT, SELECTOR
from anabranch.rounds.steps import Step
from anabranch.store.keys import RunKeys
from devcluster.process import PATIENCE
from parts import make_head
from toldaliases import read_routers, write_lists

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from anabranch.manifests.settings import Settings
    from anabranch.store.s3 import S3Store

POLL_SECONDS = 0.1
QUIET_SECONDS = 2.0
"""The time in which nothing is written that was not meant to be."""
MERGE = "application/merge-patch+json"


@dataclass
class Stage:
    """Plays everybody but the operator."""

    cluster: Cluster
    settings: Settings
    namespace: str
    """Where the user is."""
    store: S3Store
    scratch: Path
    simulation: Simulation
    vantage_points: dict[str, int] = field(default_factory=dict)
    """By node."""
    is_probing: bool = True
    """Whether agents do anything."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why Jobs fail, by the word that they are told to do."""
    jobs_done: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    """The parts that agents had when another one was there."""
    liars: set[str] = field(default_factory=set)
    """The agents that store no parts, and say that they have probed to the end."""
    silent: set[str] = field(default_factory=set)
    """The agents that neither do nor say anything."""

    @property
    def objects(self) -> Objects:
        """What tests read and change."""
        return Objects(self.cluster)

    @contextlib.asynccontextmanager
    async def play(self) -> AsyncIterator[None]:
        """Plays as long as a ``with`` lasts; what goes wrong here ends it."""
        async with asyncio.TaskGroup() as tasks:
            players = [
                tasks.create_task(each())
                for each in (self._do_jobs, self._run_pods, self._probe)
            ]
            yield
            for player in players:
                player.cancel()

    @contextlib.asynccontextmanager
    async def visit(self, namespace: str) -> AsyncIterator[Stage]:
        """The same where another user is, for whom agents probe as well.

        An operator that begins after that serves this user, too.
        """
        served = (*self.settings.watch_namespaces, namespace)
        update = {"watch_namespaces": served}
        self.settings = self.settings.model_copy(update=update)
        async with asyncio.TaskGroup() as tasks:
            player = tasks.create_task(self._probe(namespace))
            yield replace(self, namespace=namespace)
            player.cancel()

    async def create(
        self,
        kind: str,
        name: str,
        spec: dict[str, Any],
        namespace: str = "",
        **more: Any,
    ) -> None:
        """Makes an object, by default the user's."""
        manifest = {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace or self.namespace,
                **more,
            },
            "spec": spec,
        }
        await self.cluster.request(
            "POST", Place(kind, namespace or self.namespace).path, body=manifest
        )

    async def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """An object that is there."""
        found = await self.objects.get(Place(kind, namespace or self.namespace, name))
        assert found is not None, f"{kind} {name} is not there"
        return found

    async def find_all(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind."""
        return await self.objects.list(Place(kind, namespace or self.namespace), "")

    async def change(self, kind: str, name: str, **spec: Any) -> None:
        """Changes fields of an object's spec."""
        await self.objects.patch(Place(kind, self.namespace, name), {"spec": spec})

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], seconds: float = 30
    ) -> None:
        """Waits until something holds."""
        try:
            async with asyncio.timeout(PATIENCE * seconds):
                while True:
                    if await holds():
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise AssertionError(
                f"waited {PATIENCE * seconds:g} s for {what}"
            ) from None

    async def wait(
        self,
        kind: str,
        name: str,
        holds: Callable[[dict[str, Any]], bool],
        seconds: float = 30,
    ) -> dict[str, Any]:
        """Waits until something holds of an object; the object then."""
        found: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(PATIENCE * seconds):
                while True:
                    place = Place(kind, self.namespace, name)
                    if kind == "Agent":
                        place = Place(kind, self.settings.namespace, name)
                    found = await self.objects.get(place)
                    if found is not None and holds(found):
                        return found
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            status = json.dumps((found or {}).get("status"), indent=1)
            raise AssertionError(
                f"{kind} {name} does not get there: {status}"
            ) from None

    async def wait_condition(
        self,
        name: str,
        condition: str,
        status: str = "True",
        *,
        kind: str = "Measurement",
        seconds: float = 30,
    ) -> dict[str, Any]:
        """Waits for a condition of the spec that there is; the object then."""

        def holds(found: dict[str, Any]) -> bool:
            return read_condition(found, condition)[0] == status

        return await self.wait(kind, name, holds, seconds)

    async def wait_reason(self, reason: str, name: str = "survey") -> dict[str, Any]:
        """Waits until the Ready of a Measurement has a reason; the Measurement then."""
        return await self.wait(
            "Measurement", name, lambda it: read_condition(it, "Ready")[1] == reason
        )

    async def wait_rounds(self, count: int) -> list[dict[str, Any]]:
        """Waits for so many Rounds; all of them then."""

        async def are_there() -> bool:
            return len(await self.find_all("Round")) >= count

        await self.until(f"{count} Rounds", are_there)
        return await self.find_all("Round")

    async def name_rounds(self) -> set[str]:
        """The names of all Rounds."""
        return {each["metadata"]["name"] for each in await self.find_all("Round")}

    async def finish(self) -> dict[str, Any]:
        """What a survey came to, once it is complete; nothing was done twice."""
        found = await self.wait_condition("survey", "Complete", seconds=60)
        assert len(self.jobs_done) == len(set(self.jobs_done))
        assert not self.repeated
        status = {name: found["status"][name] for name in ("totals", "agents", "round")}
        rounds = await self.name_rounds()
        return status | {"jobs": len(self.jobs_done), "rounds": len(rounds)}

    async def find_jobs(self, uid: str) -> list[dict[str, Any]]:
        """The Jobs of a measurement."""
        place = Place("Job", self.settings.namespace)
        return await self.objects.list(place, f"{MEASUREMENT}={uid}")

    async def take_versions(self) -> dict[str, str]:
        """The version of each object that a survey consists of, by UID."""
        found = []
        for kind in ("Measurement", "TargetList", "Round", "Event"):
            found += await self.find_all(kind)
        for kind in ("Agent", "ProbingPolicy", "Job", "Pod"):
            found += await self.find_all(kind, self.settings.namespace)
        metadata = [each["metadata"] for each in found]
        return {each["uid"]: each["resourceVersion"] for each in metadata}

    async def settle(self) -> dict[str, str]:
        """Waits until no object was written for a while; the version of each then."""
        before: dict[str, str] = {}

        async def are_same() -> bool:
            nonlocal before
            await asyncio.sleep(QUIET_SECONDS)
            earlier, before = before, await self.take_versions()
            return earlier == before

        await self.until("no object to be written", are_same)
        return before

    async def report_sent(self, found: dict[str, Any], probes: int) -> None:
        """Has the agent of a Round say how much it has sent."""
        await self._say_of_round(found, "Ready", "True", "Probing", probesSent=probes)

    async def set_ready(self, agent: str, *, is_ready: bool) -> None:
        """Says whether the pod of an agent is ready, as its kubelet would."""
        name = f"anabranch-agent-{agent}"
        pod = await self.get("Pod", name, self.settings.namespace)
        ready = {"type": "Ready", "status": str(is_ready)}
        await self._say({"kind": "Pod", **pod}, {"conditions": [ready]})

    async def _do_jobs(self) -> None:
        """Does each Job once, as its only pod would."""
        while True:
            for job in await self._list_children("Job"):
                if not job.get("status", {}).get("conditions"):
                    await self._do_job(job)
            await asyncio.sleep(POLL_SECONDS)

    async def _do_job(self, job: dict[str, Any]) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        arguments: list[str] = container["args"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        reason = self.refused.get(arguments[1], "")
        if not reason:
            told = self.scratch / "termination-log"
            told.write_text("")
            with patch.object(job_command, "_TERMINATION_LOG", told):
                code = await asyncio.to_thread(cli.main, arguments)
            reason = told.read_text() if code else ""
        ends = (
            ["FailureTarget", "Failed"]
            if reason
            else ["SuccessCriteriaMet", "Complete"]
        )
        status: dict[str, Any] = {
            "startTime": now,
            "uncountedTerminatedPods": {},
            "conditions": [
                {
                    "type": end,
                    "status": "True",
                    "message": reason,
                    "lastTransitionTime": now,
                }
                for end in ends
            ],
        }
        if not reason:
            status |= {"completionTime": now, "succeeded": 1}
        self.jobs_done.append(job["metadata"]["name"])
        await self._say(job, status)

    async def _run_pods(self) -> None:
        """Has pods be ready, as kubelets would."""
        ready = [{"type": "Ready", "status": "True"}]
        while True:
            for pod in await self._list_children("Pod"):
                metadata = pod["metadata"]
                if metadata.get("deletionTimestamp"):
                    now = {"gracePeriodSeconds": 0}
                    place = Place.of({"kind": "Pod", "metadata": metadata})
                    with contextlib.suppress(RefusedError):
                        await self.cluster.request("DELETE", place.path, body=now)
                elif not pod["status"].get("conditions"):
                    await self._say(pod, {"phase": "Running", "conditions": ready})
            await asyncio.sleep(POLL_SECONDS)

    async def _probe(self, namespace: str = "") -> None:
        """Probes Rounds, as agents would."""
        while True:
            for found in await self.find_all("Round", namespace):
                said = found.get("status", {}).get("conditions", [])
                ends = {each["reason"] for each in said}
                if found["spec"]["agent"] in self.silent:
                    continue
                if found["spec"].get("standing"):
                    await self._serve_round(found, ends)
                elif found["spec"].get("suspend"):
                    if not ends:
                        await self._say_of_round(found, "Ready", "False", "Suspended")
                elif self.is_probing and "Complete" not in ends:
                    await self._probe_round(found)
            await asyncio.sleep(POLL_SECONDS)

    async def _serve_round(self, found: dict[str, Any], said: set[str]) -> None:
        is_paused = found["spec"].get("suspend", False)
        reason, status = ("Suspended", "False") if is_paused else ("Serving", "True")
        if reason not in said and self.is_probing:
            counts = {"probesSent": 100, "repliesReceived": 90}
            await self._say_of_round(found, "Ready", status, reason, **counts)

    async def _probe_round(self, found: dict[str, Any]) -> None:
        spec = found["spec"]
        step = Step(spec["round"], spec.get("window", 0))
        uid = spec["measurement"]["uid"]
        owner = spec.get("team", spec["agent"])
        keys = RunKeys(uid, spec["runId"], owner).step(step)
        plan = Plan(await asyncio.to_thread(self.store.fetch, keys.plan, self.scratch))
        point = self.vantage_points[spec["nodeName"]]
        asked = pq.read_table(plan.path)
        compares = "addresses" in asked.column_names
        replies = pa.table(
            {} if compares else self.simulation.time_exceeded(point, plan)
        )
        blocks = spec.get("blocks") or range(plan.blocks)
        for block in [] if spec["agent"] in self.liars else blocks:
            own = asked.filter(pc.equal(asked["block"], pa.scalar(block)))
            if compares:
                part = write_lists(own.to_pylist(), self._routers, step.round)
            else:
                is_own = pc.is_in(replies["prefix_index"], own["prefix_index"])
                part = _write_part(
                    replies.filter(is_own), step.round, plan.units, plan.end(block)
                )
            key = f"{keys.parts(block)}/{0:016}.parquet"
            if not await asyncio.to_thread(self.store.put, key, part):
                self.repeated.append(key)
        counts = {"probesSent": plan.units, "repliesReceived": len(replies)}
        await self._say_of_round(found, "Complete", "True", "Complete", **counts)

    @cached_property
    def _routers(self) -> dict[str, int]:
        return read_routers(self.simulation, self.scratch / "truth")

    async def _say_of_round(
        self, found: dict[str, Any], kind: str, status: str, reason: str, **counts: int
    ) -> None:
        condition = {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        generation = found["metadata"]["generation"]
        said = {"observedGeneration": generation, "conditions": [condition], **counts}
        await self._say(found, said)

    async def _list_children(self, kind: str) -> list[dict[str, Any]]:
        place = Place(kind, self.settings.namespace)
        found = await self.objects.list(place, f"{SELECTOR},{COMPONENT}")
        return [{"kind": kind, **each} for each in found]

    async def _say(self, about: dict[str, Any], status: dict[str, Any]) -> None:
        path = f"{Place.of({'kind': 'Round', **about}).path}/status"
        with contextlib.suppress(RefusedError):  # it may be gone by now
            await self.cluster.request(
                "PATCH", path, body={"status": status}, content=MERGE
            )


def read_condition(found: dict[str, Any], kind: str) -> tuple[str, str]:
    """The status and reason of a condition of the spec that there is."""
    status = found.get("status", {})
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return "", ""
    for condition in status.get("conditions", []):
        if condition["type"] == kind:
            return condition["status"], condition["reason"]
    return "", ""


def _write_part(replies: pa.Table, round_number: int, probes: int, end: int) -> bytes:
    """A reply part with what round jobs read of one."""
    count = len(replies)
    address = replies.column("address").to_numpy().astype(">u8").tobytes()
    mapped = [
        b"\0" * 10 + b"\xff\xff" + address[i * 8 + 4 : i * 8 + 8] for i in range(count)
    ]

    def fill(value: int, kind: pa.DataType) -> Any:
        return pa.array(np.full(count, value), kind)

    columns = {
        "probe_ttl": replies.column("ttl").cast(pa.uint8()),
        "reply_src_addr": pa.array(mapped, pa.binary(16)),
        "prefix_index": replies.column("prefix_index").cast(pa.uint32()),
        "flow": replies.column("flow").cast(pa.uint32()),
        "round": fill(round_number, pa.uint8()),
        "reply_protocol": fill(1, pa.uint8()),
        "reply_icmp_type": fill(11, pa.uint8()),
        "destination_prefix_reply": fill(0, pa.uint8()),
        "quoted_ttl": fill(1, pa.uint8()),
        # Probes that leave all at once would look like changes of routes.
        "capture_time_us": pa.array(
            round_number * 1_000_000_000 + np.arange(count) * 1_000, pa.uint64()
        ),
        "rtt_us": fill(1_000, pa.uint32()),
    }
    table = pa.table(columns)
    # As in real ones, nothing may be absent.
    schema = pa.schema([field.with_nullable(nullable=False) for field in table.schema])
    out = io.BytesIO()
    head = make_head(probes, end=end)
    pq.write_table(table.cast(schema).replace_schema_metadata(head), out)
    return out.getvalue()
