"""How soon the operator handles an event, and what it takes, with many agents.

    make bench-scale

A real API server and a real store; a hundred measurements of ten of a thousand agents.
Jobs, agents and pods are played: what they would put is put, and said to be done. An
event is a Round that is complete; it is handled once the Job is there that looks at it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.cluster.client import MERGE, Cluster
from anabranch.cluster.objects import Objects, Place
from anabranch.manifests.labels import AGENT, MEASUREMENT, SELECTOR
from anabranch.rounds.steps import FIRST
from anabranch.store.keys import RunKeys
from bareoperator import NAMESPACE, BareOperator, open_bare, read_peak

if TYPE_CHECKING:
    from anabranch.store.s3 import S3Store

MEASUREMENTS, AGENTS_EACH, AGENTS = 100, 10, 1000
STEADY_SECONDS = 60.0
PLAN = {"digest": f"sha256:{'0' * 64}", "blocks": 1, "probes": 1000}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
LISTS = re.compile(
    r'^apiserver_request_total\{.*resource="(?:agents|jobs|measurements|nodes|pods|'
    r'probingpolicies|rounds|targetlists|configmaps|events)".*verb="LIST".*\} (\S+)$',
    re.MULTILINE,
)


@dataclass
class Players:
    """Those who do what the operator asks for."""

    cluster: Cluster
    store: S3Store
    finished_at: dict[str, float] = field(default_factory=dict)
    """When Rounds were said to be complete, by name."""
    handled_at: dict[str, float] = field(default_factory=dict)
    """When the Jobs came that look at them."""
    rounds: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def objects(self) -> Objects:
        """The API server's."""
        return Objects(self.cluster)

    async def watch(self, kind: str, act: Any) -> None:
        """Has all objects of a kind be acted on, once each."""
        query = {"labelSelector": SELECTOR, "sendInitialEvents": "true"}
        query["resourceVersionMatch"] = "NotOlderThan"
        seen: set[str] = set()
        async for event in self.cluster.watch(
            Place(kind, NAMESPACE).path, query, 600, lambda: None
        ):
            found = event["object"]
            if event["type"] == "ADDED" and found["metadata"]["uid"] not in seen:
                seen.add(found["metadata"]["uid"])
                await act({"kind": kind, **found})

    async def run_pod(self, pod: dict[str, Any]) -> None:
        """Says that a pod is ready."""
        await self._say(pod, READY)

    async def take_round(self, found: dict[str, Any]) -> None:
        """Notes a Round, to complete it later."""
        self.rounds[found["metadata"]["name"]] = found

    async def do_job(self, job: dict[str, Any]) -> None:
        """Puts what a Job would put, and says that it is complete."""
        name, labels = job["metadata"]["name"], job["metadata"]["labels"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        word = container["args"][1]
        if word == "conclude":
            self.handled_at[name] = time.monotonic()
            return
        if word == "list":
            key = container["args"][container["args"].index("--report") + 1]
            report = {"digest": PLAN["digest"], "lines": 1, "entries": 1, "prefixes": 1}
            await asyncio.to_thread(self.store.put, key, json.dumps(report).encode())
        if word == "begin":
            keys = RunKeys(labels[MEASUREMENT], "1", labels[AGENT]).step(FIRST)
            text = json.dumps(PLAN).encode()
            await asyncio.to_thread(self.store.put, keys.summary, text)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        status = {"startTime": now, "completionTime": now, "conditions": conditions}
        await self._say(job, status | {"succeeded": 1, "uncountedTerminatedPods": {}})

    async def complete(self, name: str) -> None:
        """Says that a Round is complete."""
        found = self.rounds[name]
        condition = {
            "type": "Complete",
            "status": "True",
            "reason": "Complete",
            "message": "",
            "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        await self._say(found, {"observedGeneration": 1, "conditions": [condition]})
        self.finished_at[name] = time.monotonic()

    async def _say(self, about: dict[str, Any], status: dict[str, Any]) -> None:
        path = f"{Place.of(about).path}/status"
        body = {"status": status}
        await self.cluster.request("PATCH", path, body=body, content=MERGE)


async def main(folder: Path) -> None:
    """Prints the figures."""
    async with open_bare(folder) as bare:
        await bare.install()
        for number in range(AGENTS):
            labels = {"group": str(number // AGENTS_EACH % MEASUREMENTS)}
            await bare.create(
                "Agent", f"agent{number}", {"nodeName": f"n{number}"}, labels
            )
        with bare.run() as operator:
            await measure(bare, Players(bare.cluster, bare.store), operator.pid)


async def measure(bare: BareOperator, players: Players, pid: int) -> None:
    """Runs all measurements, completes their Rounds, and prints how it went."""
    tasks = [
        asyncio.create_task(players.watch(kind, act))
        for kind, act in (
            ("Pod", players.run_pod),
            ("Job", players.do_job),
            ("Round", players.take_round),
        )
    ]
    begin = time.monotonic()
    for number in range(MEASUREMENTS):
        group = {"matchLabels": {"group": str(number)}}
        entry = {"name": "all", "selector": group, "targetList": "list"}
        spec = {"diamondMiner": {}, "agents": [entry], "minAgents": AGENTS_EACH}
        await bare.create("Measurement", f"survey{number}", spec)
    while len(players.rounds) < MEASUREMENTS * AGENTS_EACH:
        for task in tasks:
            if task.done():
                await task
        await asyncio.sleep(0.5)
    print(f"{len(players.rounds)} Rounds in {time.monotonic() - begin:.0f} s")
    await asyncio.sleep(30)
    lists = await count_lists(players.cluster)
    names = sorted(players.rounds)[:: MEASUREMENTS * AGENTS_EACH // 300]
    pause = STEADY_SECONDS / len(names)
    for name in names:
        await players.complete(name)
        await asyncio.sleep(pause)
    await asyncio.sleep(5)
    more = await count_lists(players.cluster) - lists
    taken = sorted(
        players.handled_at.get(name, float("inf")) - ended
        for name, ended in players.finished_at.items()
    )
    p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    print(f"events {len(taken)}, handled in {p50:.3f} s (p50), {p99:.3f} s (p99)")
    print(f"peak RSS {read_peak(pid):.0f} MiB")
    print(f"{more:g} lists in {STEADY_SECONDS:g} s")
    for task in tasks:
        task.cancel()


async def count_lists(cluster: Cluster) -> float:
    """How many lists the API server has answered."""
    response = await cluster.client.call_api(
        *await cluster.client.param_serialize(
            "GET", "/metrics", auth_settings=["BearerToken"]
        )
    )
    text = (await response.read()).decode()  # type: ignore[no-untyped-call]
    return sum(float(found) for found in LISTS.findall(text))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
