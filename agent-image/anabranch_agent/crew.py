"""All Rounds of an agent, each with its run and its reporter."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch_agent.demand import Drop, Leave

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from anabranch.api import Round
    from anabranch_agent.demand import Demand
    from anabranch_agent.reporter import Reporter
    from anabranch_agent.work import Work


@dataclass
class Crew:
    """The work on Rounds, which begins and ends as Rounds come and go."""

    start: Callable[[Round, Demand], tuple[Work, Reporter]]
    failure: asyncio.Future[None]
    """Gets the first unexpected error."""
    runs: dict[str, Work] = field(default_factory=dict)
    """The runs by their Round's UID; a finished run stays until its Round is gone."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def follow(self, wanted: Mapping[str, tuple[Round, Demand]]) -> None:
        """Pass on what is wanted of each Round; drop runs whose Round is not wanted."""
        for uid in self.runs.keys() - wanted.keys():
            gone = self.runs.pop(uid)
            gone.follow(gone.measured, Drop())
        for uid, (measured, demand) in wanted.items():
            if run := self.runs.get(uid):
                run.follow(measured, demand)
            else:
                self._begin(measured, demand)

    def tend(self, work: Coroutine[object, object, None]) -> None:
        """Do something that belongs to no Round."""
        self._watch(asyncio.ensure_future(work))

    async def leave(self, seconds: float) -> bool:
        """Stop and store everything; return whether that took at most ``seconds``."""
        for run in self.runs.values():
            run.follow(run.measured, Leave())
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        return not late

    def _begin(self, measured: Round, demand: Demand) -> None:
        run, reporter = self.start(measured, demand)
        self.runs[run.uid] = run
        self._watch(asyncio.ensure_future(_work(run, reporter)))

    def _watch(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error and not self.failure.done():
            self.failure.set_exception(error)


async def _work(run: Work, reporter: Reporter) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(run.run())
        group.create_task(reporter.run())
