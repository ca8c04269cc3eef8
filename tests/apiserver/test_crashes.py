"""The operator may end before and after each of its writes."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anabranch.cluster.client import Cluster
from anabranch.control.operator import Operator
from stage import read_condition
from theatre import operating, set_stage

if TYPE_CHECKING:
    from stage import Stage
    from theatre import Theatre

VOLATILE = re.compile(r'"[^"]*(?:[tT]ime|resourceVersion)": "[^"]*"')
"""What is another one each time, whatever is written."""


class CrashError(BaseException):
    """The end of the process; nobody may catch it."""


@dataclass(frozen=True)
class CrashingCluster(Cluster):
    """A connection on which each write ends the process: before it, and after it."""

    tries: Counter[str] = field(default_factory=Counter)

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Asks the API server, perhaps."""
        if method == "GET":
            return await super().request(method, path, **more)
        write = VOLATILE.sub("", f"{method} {path} {json.dumps(more.get('body'))}")
        self.tries[write] += 1
        if self.tries[write] == 1:
            raise CrashError(f"before {write}")
        answer = await super().request(method, path, **more)
        if self.tries[write] == 2:
            raise CrashError(f"after {write}")
        return answer


async def survive(stage: Stage) -> int:
    """Runs operators until the survey is complete; how many it took."""
    connection = await Cluster.connect()
    cluster = CrashingCluster(connection.client)
    done = asyncio.create_task(stage.wait_condition("survey", "Complete", seconds=300))
    lives = 0
    try:
        while True:
            lives += 1
            operator = Operator(stage.settings, cluster, stage.store, "test", port=0)
            life = asyncio.create_task(operator.run())
            await asyncio.wait({life, done}, return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                await done
                life.cancel()
                await asyncio.wait({life})
                return lives
            end = life.exception()
            if not isinstance(end, BaseExceptionGroup) or not end.subgroup(CrashError):
                raise end or AssertionError("the operator ended by itself")
    finally:
        await connection.close()


def look(found: dict[str, Any]) -> dict[str, Any]:
    """What is to be the same however often the operator ended."""
    status = found["status"]
    return {
        "totals": status["totals"],
        "agents": status["agents"],
        "round": status["round"],
        "ready": read_condition(found, "Ready"),
    }


def test_it_may_end_before_and_after_each_write(theatre: Theatre) -> None:
    """What comes of it is the same, and no child is made or done twice."""
    seen: dict[str, Any] = {}

    async def undisturbed(stage: Stage) -> None:
        async with operating(stage):
            await set_stage(stage)
            found = await stage.wait_condition("survey", "Complete")
            seen["jobs"] = len(stage.jobs_done)
            seen["status"] = look(found)

    async def crashing(stage: Stage) -> None:
        await set_stage(stage)
        lives = await survive(stage)
        assert lives > 2 * seen["jobs"]
        assert look(await stage.get("Measurement", "survey")) == seen["status"]
        assert len(stage.jobs_done) == len(set(stage.jobs_done)) == seen["jobs"]
        rounds = await stage.find_all("Round")
        steps = [
            (each["spec"]["agent"], each["spec"]["round"], each["spec"].get("window"))
            for each in rounds
        ]
        assert len(steps) == len(set(steps))

    theatre.play(undisturbed)
    theatre.renew().play(crashing)
