"""Where the operator plays with a stage: namespaces, a bucket, a survey."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from anabranch_engine import Simulation

from anabranch.cluster.client import Cluster
from anabranch.control import operator
from anabranch.control.election import Election
from anabranch.control.operator import Operator
from anabranch.manifests.settings import Settings
from anabranch.store.s3 import S3Store
from devcluster.namespace import Namespace
from devcluster.process import PATIENCE
from stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from devcluster.s3 import S3

SIMULATION = Simulation(
    prefixes_v4=64,
    prefixes_v6=0,
    vantage_points=2,
    seed=1,
    switches={"loss": 0.0},
    topologies=(),
)
NODES = {"n1": 0, "n2": 1}
POLICY = {
    "contact": "https://example.org/survey",
    "allow": ["240.0.0.0/4"],
    "allowReserved": True,
}
LIST = {"entries": [{"target": "240.0.0.0/22", "minTtl": 1, "maxTtl": 10}]}


@dataclass(frozen=True)
class Theatre:
    """Where a test plays."""

    system: Namespace
    user: Namespace
    s3: S3
    folder: Path
    store: Mapping[str, Any] = field(default_factory=dict)
    """More settings of the store."""
    lease_seconds: int = int(PATIENCE) * Election.lease_seconds
    """How long operators lead that a busy machine keeps from renewing their Lease."""

    def renew(self) -> Theatre:
        """Another one, in namespaces of its own."""
        system, user = make_namespace(self.system), make_namespace(self.user)
        return replace(self, system=system, user=user)

    def play(self, act: Callable[[Stage], Awaitable[None]]) -> None:
        """Has a test's act be played."""
        candidate = partial(Election, lease_seconds=self.lease_seconds)
        with patch.object(operator, "Election", candidate):
            asyncio.run(self._play(act))

    async def _play(self, act: Callable[[Stage], Awaitable[None]]) -> None:
        cluster = await Cluster.connect()
        bucket = f"test-{uuid.uuid4()}"
        settings = Settings.read(
            {
                "namespace": self.system.name,
                "watchNamespaces": [self.system.name, self.user.name],
                "store": {"bucket": bucket, "endpoint": self.s3.url, **self.store},
                "jobs": {"image": "operator"},
                "agents": {"image": "agent:1"},
            }
        )
        os.environ["ANABRANCH_STORE_BUCKET"] = bucket
        store = S3Store(bucket, endpoint_url=self.s3.url)
        stage = Stage(
            cluster=cluster,
            settings=settings,
            namespace=self.user.name,
            store=store,
            scratch=self.folder,
            simulation=SIMULATION,
            vantage_points=NODES,
        )
        try:
            async with stage.play():
                await act(stage)
        finally:
            await cluster.close()
            # Connections with encryption end in the background.
            await asyncio.sleep(0.25)


def make_namespace(beside: Namespace) -> Namespace:
    """A namespace that no other test has, of the same API server as another one."""
    made = Namespace(beside.connection, f"test-{uuid.uuid4()}")
    body = {"metadata": {"name": made.name}}
    assert made.call("POST", "/api/v1/namespaces", body).status == 201
    return made


@contextlib.asynccontextmanager
async def operating(
    stage: Stage, identity: str = "test", port: int = 0
) -> AsyncIterator[asyncio.Task[None]]:
    """An operator that runs as long as a ``with`` lasts, and then just ends."""
    own = await Cluster.connect()
    leader = Operator(stage.settings, own, stage.store, identity, port)
    task = asyncio.create_task(leader.run())
    try:
        yield task
    finally:
        task.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            await own.close()


async def set_agents(stage: Stage) -> None:
    """Makes a policy and two agents."""
    system = stage.settings.namespace
    await stage.create("ProbingPolicy", "default", POLICY, namespace=system)
    for name, node in (("paris", "n1"), ("tokyo", "n2")):
        agent = {"nodeName": node, "allowReserved": True}
        await stage.create(
            "Agent", name, agent, namespace=system, labels={"team": "demo"}
        )


async def set_stage(
    stage: Stage, *, entries: list[dict[str, Any]] | None = None, **spec: Any
) -> None:
    """Makes a survey of two agents, of some entries."""
    await set_agents(stage)
    target_list = {"entries": entries} if entries else LIST
    await stage.create("TargetList", "list", target_list)
    everyone = {"name": "all", "selector": {}, "targetList": "list"}
    measurement = {
        "diamondMiner": {},
        "agents": [everyone],
        "minAgents": 2,
        "maxRounds": 2,
    }
    await stage.create("Measurement", "survey", measurement | spec)
