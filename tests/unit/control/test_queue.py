"""The queue of what is to be looked at."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.control.queue import FIRST_BACKOFF, LAST_BACKOFF, WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass
class Works:
    """What was done, with the most at a time."""

    fails: int = 0
    """How often each key fails before it does not."""
    again: float | None = None
    seconds: float = 0.01
    done: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    active: set[str] = field(default_factory=set)
    most: int = 0
    told: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """How often each key was told of, by whether it failed."""

    def make_queue(self) -> WorkQueue[str]:
        """A queue of such works, by the clock of the loop."""
        clock = asyncio.get_running_loop().time
        return WorkQueue(self.reconcile, clock, self.note)

    def note(self, key: str, seconds: float, error: Exception | None) -> None:
        """Is told of each work."""
        assert seconds >= 0
        self.told[key, error is not None] += 1

    async def reconcile(self, key: str) -> float | None:
        """Takes some time, and may fail."""
        assert key not in self.active, "one key is worked on by two"
        self.active.add(key)
        self.most = max(self.most, len(self.active))
        try:
            await asyncio.sleep(self.seconds)
            self.tried[key] += 1
            if self.tried[key] <= self.fails:
                raise RuntimeError("not yet")
            self.done[key] += 1
        finally:
            self.active.discard(key)
        return self.again


A_MOMENT = 0.1
"""In which what should not happen may happen."""


@asynccontextmanager
async def working(queue: WorkQueue[str], workers: int = 4) -> AsyncIterator[None]:
    """Has workers work."""
    task = asyncio.create_task(queue.run(workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(holds: Callable[[], bool]) -> None:
    """Waits for something, however long it takes."""
    while not holds():  # noqa: ASYNC110 (it is about what others do)
        await asyncio.sleep(0)


def run_queue(
    works: Works, keys: list[str], holds: Callable[[WorkQueue[str]], bool]
) -> WorkQueue[str]:
    """Works on keys until something holds."""

    async def run() -> WorkQueue[str]:
        queue = works.make_queue()
        for key in keys:
            queue.add(key)
        async with working(queue):
            await until(lambda: holds(queue))
        return queue

    return asyncio.run(run())


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abcdef"), min_size=1))
def test_keys_that_wait_are_worked_on_once(keys: list[str]) -> None:
    """However often they are added, and several of them at a time."""
    works = Works(seconds=0.001)

    async def run() -> None:
        queue = works.make_queue()
        for key in keys:
            queue.add(key)
        async with working(queue):
            await until(lambda: works.done.keys() == set(keys))
            await asyncio.sleep(A_MOMENT)

    asyncio.run(run())
    assert works.done == dict.fromkeys(keys, 1)


def test_what_happens_meanwhile_is_not_missed() -> None:
    """A key that is added while it is worked on is worked on again, not at once."""
    works = Works(seconds=0.05)

    async def run() -> None:
        queue = works.make_queue()
        queue.add("a")
        async with working(queue):
            # Nothing else runs between the look and the additions.
            await until(lambda: "a" in works.active)
            for _ in range(3):
                queue.add("a")
            await until(lambda: works.done["a"] == 2)
            await asyncio.sleep(A_MOMENT)

    asyncio.run(run())
    assert works.done["a"] == 2


def test_an_error_is_tried_again_later_and_later() -> None:
    """Until it goes well: then nothing is remembered of it."""
    works = Works(fails=1)
    queue = run_queue(works, ["a", "b"], lambda _: works.done.keys() == {"a", "b"})
    assert works.done == {"a": 1, "b": 1}
    assert queue.failures == {}
    assert works.told == dict.fromkeys(itertools.product("ab", (True, False)), 1)
    stubborn = run_queue(Works(fails=99), ["a"], lambda queue: bool(queue.failures))
    assert stubborn.failures == {"a": 1}
    assert LAST_BACKOFF > FIRST_BACKOFF


def test_a_key_is_looked_at_again_when_it_asks_for_it() -> None:
    """Or before, if something happens."""
    works = Works(again=0.05, seconds=0)
    run_queue(works, ["a"], lambda _: works.done["a"] == 4)
    patient = Works(again=60, seconds=0)

    async def run() -> None:
        queue = patient.make_queue()
        queue.add("a")
        async with working(queue, 1):
            await until(lambda: patient.done["a"] == 1)
            queue.add("a")
            await until(lambda: patient.done["a"] == 2)

    asyncio.run(run())
    assert patient.done["a"] == 2


def test_lag_is_of_what_is_due_and_not_done() -> None:
    """That is what a queue which hangs shows, or a work that does."""
    now = [100.0]
    works = Works()
    queue = WorkQueue(works.reconcile, lambda: now[0], works.note)
    queue.add("later", after=50)
    assert queue.lag == 0
    queue.add("now")
    now[0] += 7
    assert queue.lag == 7
    assert len(queue) == 2

    async def hang() -> None:
        works.seconds = 60
        async with working(queue, 1):
            await until(lambda: works.active == {"now"})
            now[0] += 3
            queue.add("now")
            assert queue.lag == 10

    asyncio.run(hang())
