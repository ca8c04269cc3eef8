"""Operators that end before and after each of their writes."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anabranch.cluster.client import Cluster
from anabranch.control.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


def play_crashing(theatre: Theatre, act: Callable[[Stage], Awaitable[None]]) -> None:
    """Plays an act in which operators crash."""
    with warnings.catch_warnings():
        # What crashed leaves connections open until the event loop of the act ends;
        # the kernel closes those of a process.
        warnings.simplefilter("ignore", ResourceWarning)
        theatre.play(act)
        gc.collect()


async def survive(stage: Stage, done: asyncio.Task[Any]) -> int:
    """Runs operators until a task is done; how many it took."""
    connection = await Cluster.connect()
    cluster = CrashingCluster(connection.client)
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
                # It may have ended by itself just now.
                await asyncio.gather(life, return_exceptions=True)
                return lives
            end = life.exception()
            if not isinstance(end, BaseExceptionGroup) or not end.subgroup(CrashError):
                raise end or AssertionError("the operator ended by itself")
    finally:
        await connection.close()
