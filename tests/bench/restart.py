"""How soon an operator that starts has looked at everything, where there is a lot.

    make bench-restart
    .venv/bin/python tests/bench/restart.py --agents-each 10    # 30,000 Rounds

A real API server and a real store; a thousand agents, and a thousand measurements that
have ended, each with the last three Rounds of its agents. One operator looks at all of
them first, so that nothing is left to do. It ends, and another one starts: at once,
since it is left the Lease, and once more after a kill, when it waits for the Lease.
It has looked at everything once it is ready, each object was looked at, and no one
is due.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.cluster.client import MERGE
from anabranch.cluster.objects import Objects, Place
from anabranch.manifests.labels import SELECTOR
from bareoperator import NAMESPACE, BareOperator, open_bare, read_cpu, read_peak
from devcluster.process import find_free_ports

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Awaitable, Callable, Iterable

MEASUREMENTS, AGENTS, ROUNDS = 1000, 1000, 3
GOAL_SECONDS = 30.0
AT_ONCE = 20
"""Requests under way while objects are made."""
QUIET_SECONDS = 5.0
"""How long nothing may be left to do before an operator counts as settled."""
DIGEST = f"sha256:{'0' * 64}"
NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@dataclass(frozen=True)
class Told:
    """What an operator tells of itself."""

    is_ready: bool
    looks: dict[str, float]
    """Looks at objects that went well, by kind."""
    lag: float

    @property
    def is_through(self) -> bool:
        """Whether it has looked at everything."""
        wanted = {"Measurement": MEASUREMENTS, "Agent": AGENTS}
        return (
            self.is_ready
            and self.lag == 0
            and all(self.looks.get(kind, 0) >= count for kind, count in wanted.items())
        )


async def ask(port: int) -> Told:
    """What the operator at a port tells, or that it is not ready."""
    with contextlib.suppress(OSError, urllib.error.HTTPError):
        await asyncio.to_thread(fetch, port, "readyz")
        text = await asyncio.to_thread(fetch, port, "metrics")
        pattern = r'reconciles_total\{kind="(\w+)",outcome="done"\} (\S+)'
        looks = {kind: float(count) for kind, count in re.findall(pattern, text)}
        (lag,) = re.findall(
            r"^anabranch_operator_queue_lag_seconds (\S+)", text, re.MULTILINE
        )
        return Told(is_ready=True, looks=looks, lag=float(lag))
    return Told(is_ready=False, looks={}, lag=0.0)


def fetch(port: int, path: str) -> str:
    """What it answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
        text: str = answer.read().decode()
        return text


async def gather(calls: Iterable[Awaitable[Any]]) -> None:
    """Waits for many calls, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def take(call: Awaitable[Any]) -> None:
        async with places:
            await call

    await asyncio.gather(*map(take, calls))


async def say(
    bare: BareOperator, about: dict[str, Any], status: dict[str, Any]
) -> None:
    """Writes the status of an object."""
    path = f"{Place.of(about).path}/status"
    await bare.cluster.request("PATCH", path, body={"status": status}, content=MERGE)


def describe_end(*kinds: str) -> list[dict[str, str]]:
    """The conditions of something that has ended well."""
    more = {"status": "True", "reason": "Completed", "message": "all is well"}
    return [{"type": kind, "lastTransitionTime": NOW, **more} for kind in kinds]


async def make_measurement(bare: BareOperator, number: int, agents: list[str]) -> None:
    """Makes a measurement that has ended, with its Rounds."""
    name = f"survey{number}"
    entries = [{"name": agent, "targetList": "list"} for agent in agents]
    made = await bare.create(
        "Measurement", name, {"diamondMiner": {}, "agents": entries}
    )
    ended = {
        "observedGeneration": 1,
        "runId": made["spec"]["runId"],
        "startTime": NOW,
        "completionTime": NOW,
        "round": ROUNDS,
        "totals": {"probes": 1000, "replies": 900, "nodes": 50, "links": 70},
        "agents": {"total": len(agents), "finished": len(agents)},
        "conditions": describe_end("Ready", "Complete"),
    }
    await say(bare, made, ended)
    for agent in agents:
        for round_number in range(1, ROUNDS + 1):
            await make_round(bare, made, agent, round_number)


async def make_round(
    bare: BareOperator, measurement: dict[str, Any], agent: str, number: int
) -> None:
    """Makes a Round that is complete."""
    about = {key: measurement["metadata"][key] for key in ("name", "uid")}
    spec = {
        "measurement": about,
        "runId": measurement["spec"]["runId"],
        "agent": agent,
        "nodeName": agent,
        "round": number,
        "plan": {"key": "plan", "digest": DIGEST, "blocks": 1, "probes": 1000},
        "rate": 100,
        "waitSeconds": 1,
    }
    made = await bare.create("Round", f"{about['name']}-{agent}-{number}", spec)
    done = {"observedGeneration": 1, "conditions": describe_end("Complete")}
    await say(bare, made, done | {"probesSent": 1000, "repliesReceived": 900})


async def run_pods(bare: BareOperator) -> None:
    """Says of all agents' pods that they are ready, until all of them are."""
    ready = 0
    while ready < AGENTS:
        pods = await Objects(bare.cluster).list(Place("Pod", NAMESPACE), SELECTOR)
        new = [pod for pod in pods if not pod["status"].get("conditions")]
        await gather(say(bare, {"kind": "Pod", **pod}, READY) for pod in new)
        ready = len(pods) - len(new)
        await asyncio.sleep(0.5)


async def wait_told(
    port: int, operator: subprocess.Popen[bytes], holds: Callable[[Told], bool]
) -> float:
    """Waits until what an operator tells is as it should be; when that was."""
    while not holds(await ask(port)):
        assert operator.poll() is None, "the operator has ended: see its log"
        await asyncio.sleep(0.25)
    return time.monotonic()


async def settle(bare: BareOperator) -> None:
    """Has an operator do whatever there is to do."""
    (port,) = find_free_ports(1)
    with bare.run(port) as operator:
        await run_pods(bare)
        looks: dict[str, float] = {}
        await wait_told(port, operator, lambda told: told.is_through)
        while (told := (await ask(port)).looks) != looks:
            looks = told
            await asyncio.sleep(QUIET_SECONDS)


async def measure(bare: BareOperator, *, kills: bool) -> float:
    """Prints how an operator starts, and gives how many seconds it took."""
    (port,) = find_free_ports(1)
    with bare.run(port) as operator:
        begin = time.monotonic()
        ready = await wait_told(port, operator, lambda told: told.is_ready) - begin
        through = await wait_told(port, operator, lambda t: t.is_through) - begin
        cpu, peak = read_cpu(operator.pid), read_peak(operator.pid)
        looks = sum((await ask(port)).looks.values())
        after = "a kill" if kills else "a shutdown"
        print(
            f"after {after}: ready in {ready:.1f} s, everything looked at in "
            f"{through:.1f} s (goal {GOAL_SECONDS:g} s) and {cpu:.1f} CPU s, "
            f"{looks:g} looks, peak RSS {peak:.0f} MiB",
            flush=True,
        )
        if not kills:
            operator.kill()
        return through


async def main(agents_each: int, folder: Path) -> int:
    """Prints the figures, and gives the exit code: 1 if the goal is missed."""
    async with open_bare(folder) as bare:
        begin = time.monotonic()
        await bare.install()
        names = [f"agent{number}" for number in range(AGENTS)]
        await gather(bare.create("Agent", name, {"nodeName": name}) for name in names)
        await gather(
            make_measurement(
                bare,
                number,
                [names[(number + other) % AGENTS] for other in range(agents_each)],
            )
            for number in range(MEASUREMENTS)
        )
        print(f"made in {time.monotonic() - begin:.0f} s", flush=True)
        await settle(bare)
        print(f"settled after {time.monotonic() - begin:.0f} s", flush=True)
        taken = [await measure(bare, kills=kills) for kills in (False, True)]
    return int(max(taken) > GOAL_SECONDS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents-each", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            sys.exit(asyncio.run(main(chosen.agents_each, Path(name))))
        except AssertionError:
            print(Path(name, "operator.log").read_text()[-2000:])
            raise
