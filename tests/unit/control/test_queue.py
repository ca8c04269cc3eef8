"""The queue of what is to be looked at."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.control.queue import FIRST_BACKOFF, LAST_BACKOFF, WorkQueue


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


async def run_for(queue: WorkQueue[str], seconds: float, workers: int = 4) -> None:
    """Has workers work for some time."""
    task = asyncio.create_task(queue.run(workers))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait({task})


def run_queue(works: Works, keys: list[str], seconds: float) -> WorkQueue[str]:
    """Works on keys for some time."""

    async def run() -> WorkQueue[str]:
        queue = works.make_queue()
        for key in keys:
            queue.add(key)
        await run_for(queue, seconds)
        return queue

    return asyncio.run(run())


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from("abcdef"), min_size=1))
def test_keys_that_wait_are_worked_on_once(keys: list[str]) -> None:
    """However often they are added, and several of them at a time."""
    works = Works(seconds=0.001)
    run_queue(works, keys, 0.2)
    assert works.done == dict.fromkeys(keys, 1)


def test_what_happens_meanwhile_is_not_missed() -> None:
    """A key that is added while it is worked on is worked on again, not at once."""
    works = Works(seconds=0.05)

    async def run() -> None:
        queue = works.make_queue()
        queue.add("a")
        task = asyncio.create_task(queue.run(3))
        await asyncio.sleep(0.02)
        for _ in range(3):
            queue.add("a")
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(run())
    assert works.done["a"] == 2


def test_an_error_is_tried_again_later_and_later() -> None:
    """Until it goes well: then nothing is remembered of it."""
    works = Works(fails=1)
    queue = run_queue(works, ["a", "b"], FIRST_BACKOFF + 0.3)
    assert works.done == {"a": 1, "b": 1}
    assert queue.failures == {}
    assert works.told == dict.fromkeys(itertools.product("ab", (True, False)), 1)
    stubborn = run_queue(Works(fails=99), ["a"], 0.1)
    assert stubborn.failures == {"a": 1}
    assert LAST_BACKOFF > FIRST_BACKOFF


def test_a_key_is_looked_at_again_when_it_asks_for_it() -> None:
    """Or before, if something happens."""
    works = Works(again=0.05, seconds=0)
    run_queue(works, ["a"], 0.28)
    assert 4 <= works.done["a"] <= 6
    patient = Works(again=60, seconds=0)

    async def run() -> None:
        queue = patient.make_queue()
        queue.add("a")
        task = asyncio.create_task(queue.run(1))
        await asyncio.sleep(0.05)
        queue.add("a")
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})

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
        task = asyncio.create_task(queue.run(1))
        await asyncio.sleep(0.01)
        assert works.active == {"now"}
        now[0] += 3
        queue.add("now")
        assert queue.lag == 10
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(hang())
