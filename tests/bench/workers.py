"""A step of 10 M replies, concluded by one worker and by two that share the work.

Each worker has one thread, as a pod of one core has. Replies are those of the benchmark
of rounds, in pieces of a million; the rule is ``full``, by which workers also share the
counts for the next round. Both must plan the same.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.api.tool import DiamondMiner
from anabranch.rounds.outcome import Rules
from anabranch.rounds.steps import Step
from anabranch.rounds.workers import Worker
from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from bench.rounds import EPSILON, KEYS, STEP, make_parts, make_targets

PIECE_ROWS = 1 << 20
RULES = Rules(DiamondMiner(rule="full"), 10, EPSILON, 1, 255, drop_private=False)


def work(data: Path, worker: Worker) -> None:
    """Does the part of one worker, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        store, engine = DirectoryStore(data), open_embedded(max_threads=1)
        job = RoundJob(store, engine, KEYS, RULES, Path(scratch), PIECE_ROWS)
        if worker.concludes:
            job.conclude(STEP)
        else:
            job.help(STEP, worker)


def measure(data: Path, workers: int) -> float:
    """How long workers take together, in seconds."""
    processes = [
        multiprocessing.Process(target=work, args=(data, Worker(index, workers)))
        for index in range(workers)
    ]
    start = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a worker ended with {process.exitcode}")
    return time.perf_counter() - start


def main() -> None:
    """Prints both times and their ratio."""
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory() as name:
        times, plans = [], []
        targets = make_targets(Path(name) / "targets" / "plan.parquet")
        replies = make_parts(Path(name) / "parts", targets)
        for workers in (1, 2):
            store = DirectoryStore(Path(name) / str(workers))
            for file in sorted((Path(name) / "parts").iterdir()):
                store.put_file(f"{KEYS.step(STEP).parts(0)}/{file.name}", file)
            store.put_file(KEYS.targets, targets.path)
            store.put_file(KEYS.step(STEP).plan, targets.path)
            times.append(measure(store.root, workers))
            plans.append(store.get(KEYS.step(Step(2)).summary))
    if plans[0] != plans[1]:
        raise RuntimeError("two workers plan something else than one")
    one, two = times
    print(
        f"{replies:,} replies: {one:.1f} s by one worker, {two:.1f} s by two: "
        f"{two / one:.2f} of the time"
    )


if __name__ == "__main__":
    main()
