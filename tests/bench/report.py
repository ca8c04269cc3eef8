"""Reports of surveys of 1,000 and of 100,000 /24s.

The replies come from a simulated Internet, without packets: six flows at 32 TTLs. What
is measured is the command, from its start to its end: seconds, those of the processor,
its most memory, and the size of the page.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.api import Agent, Measurement, ProbingPolicy
from anabranch.rounds.steps import FIRST
from anabranch.runs.record import RunRecord
from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from bench.rounds import make_parts, make_targets

SIZES = (1_000, 100_000)


def make_record() -> RunRecord:
    """What the run was started with."""

    def read(kind: Any, name: str, **spec: Any) -> Any:
        head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind.__name__}
        return kind.read({**head, "metadata": {"name": name}, "spec": spec})

    entry = {"name": "agent", "targetList": "list"}
    return RunRecord(
        uid="default.bench",
        measurement=read(Measurement, "bench", yarrp={}, agents=[entry]),
        entry="agent",
        agent=read(Agent, "agent", nodeName="localhost", allowReserved=True),
        policy=read(
            ProbingPolicy, "default", contact="bench@example.org", allowReserved=True
        ).spec,
        target_list=f"sha256:{'0' * 64}",
    )


def make_survey(folder: Path, prefixes: int) -> int:
    """A survey that has ended, in a folder; how many links it found."""
    store, record = DirectoryStore(folder / "data"), make_record()
    targets = make_targets(store.path(record.keys.targets), prefixes)
    parts = store.path(record.keys.step(FIRST).parts(0))
    make_parts(parts, targets, prefixes)
    store.put(record.keys.run, record.write())
    job = RoundJob(store, open_embedded(), record.keys, record.run_rules, folder)
    return job.conclude(FIRST).links


def report(folder: Path) -> str:
    """Writes a report: what it took, and the page's size."""
    page = folder / "report.html"
    words = ["report", "bench", "--data", str(folder / "data"), "--output", str(page)]
    start = time.perf_counter()
    program = [sys.executable, "-m", "anabranch", *words]
    with Path(os.devnull).open("wb") as nothing:
        quiet = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1)]
        child = os.posix_spawn(sys.executable, program, os.environ, file_actions=quiet)
    _, status, used = os.wait4(child, 0)
    took = time.perf_counter() - start
    if status:
        raise RuntimeError("the report failed")
    return (
        f"{took:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of the processor, "
        f"{used.ru_maxrss / 1024:,.0f} MB, page of {page.stat().st_size / 1000:,.0f} kB"
    )


def main() -> None:
    """Prints a line for each size."""
    if len(sys.argv) > 1:
        links = make_survey(Path(sys.argv[1]), int(sys.argv[2]))
        print(f"{int(sys.argv[2]):,} /24s, {links:,} links: ", end="", flush=True)
        return
    for prefixes in SIZES:
        with tempfile.TemporaryDirectory() as name:
            # What starts a process counts as its memory: it must be small.
            words = [sys.executable, __file__, name, str(prefixes)]
            subprocess.run(words, check=True)
            print(report(Path(name)))


if __name__ == "__main__":
    main()
