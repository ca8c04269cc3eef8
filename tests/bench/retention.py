"""How long anabranch purge takes, and how much memory, where there are many objects.

    make bench-retention
    .venv/bin/python tests/bench/retention.py --objects 1000000

A folder and a real S3 gateway, each with runs of 5,000 parts of a kilobyte, all of
which have ended. The command says what would go, and then removes half of the runs,
which are noted to go: a run that has just ended would stay. Each time it is a process
of its own, whose peak memory the kernel reports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.rounds.steps import FIRST
from anabranch.runs.removal import note_removal
from anabranch.store.directory import DirectoryStore
from anabranch.store.environment import ENDPOINT
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.store.s3 import S3Store
from devcluster.s3 import KEY, REGION, SECRET, run_s3

if TYPE_CHECKING:
    from anabranch.store.store import Store

AGENTS, PARTS = 5, 1000
PART = bytes(1024)
AT_ONCE = 16
"""Requests under way while objects are made."""
SCRIPT = r"""
import re, sys
from pathlib import Path
from anabranch.cli import main
if main(["purge", *sys.argv[1:]]):
    sys.exit("it failed")
print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
"""
"""Runs the command; the last line is the most KiB that the process had."""


def fill(store: Store, objects: int) -> int:
    """Puts runs that have ended; gives their number."""
    runs = objects // (AGENTS * PARTS)
    keys = [
        f"{RunKeys(f'{run:08}', '1', f'agent-{agent}').step(FIRST).parts(0)}/{part:016}"
        for run in range(runs)
        for agent in range(AGENTS)
        for part in range(PARTS)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda key: store.put(key, PART), keys):
            pass
    for run in range(runs):
        store.put(SurveyKeys(f"{run:08}", "1").summary, b"{}")
    return runs


def measure(*words: str) -> tuple[float, float]:
    """Runs the command in a process of its own; gives its seconds and megabytes."""
    start = time.perf_counter()
    command = [sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    peak = int(done.stdout.split()[-1]) * 1024 / 1e6
    return time.perf_counter() - start, peak


def report(says: str, store: Store, location: str, objects: int) -> None:
    """Prints what the command takes with a store."""
    start = time.perf_counter()
    runs = fill(store, objects)
    took = time.perf_counter() - start
    print(f"{says}: {objects:,} objects put in {took:.0f} s", flush=True)
    for run in range(runs - runs // 2):
        note_removal(store, SurveyKeys(f"{run:08}", "1"))
    words = ("--data", location)
    for what, more in (("say what goes", ()), ("remove half of it", ("--yes",))):
        seconds, megabytes = measure(*words, *more)
        print(f"{what:<20}{seconds:>8.1f} s{megabytes:>8.0f} MB", flush=True)
    left = sum(1 for _ in store.scan("agents"))
    if left != runs // 2 * AGENTS * PARTS:
        raise RuntimeError(f"{left:,} objects are left")


def main() -> int:
    """Prints figures of each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    objects = parser.parse_args().objects
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "store").mkdir()
        local = DirectoryStore(folder / "store")
        report("folder", local, str(local.root), objects)
        (folder / "s3").mkdir()
        os.environ |= {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }
        with run_s3(folder / "s3") as server:
            os.environ[ENDPOINT] = server.url
            bucket = S3Store(server.bucket, endpoint_url=server.url)
            report("versitygw", bucket, f"s3://{server.bucket}", objects)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
