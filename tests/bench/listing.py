"""What it takes to look at a step of 100,000 reply parts.

    make bench-listing
    .venv/bin/python tests/bench/listing.py --parts 1000

A folder and a real S3 gateway, with so many parts of one step, whose footers are as
large as real ones. An agent that starts again reads what its parts say, to go on where
they end. The job that concludes the step finds where each block ends, and sums up what
was counted.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.rounds.steps import FIRST
from anabranch.store.directory import DirectoryStore
from anabranch.store.environment import ENDPOINT
from anabranch.store.keys import RunKeys
from anabranch.store.s3 import S3Store
from anabranch.warehouse.parts import count_parts, find_ends
from anabranch_agent.depot import Depot
from devcluster.s3 import KEY, REGION, SECRET, run_s3

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.store.store import Store

COLUMNS, ROWS = 40, 100
PROBES = 6000
"""Of a part, which is of a minute at 100 probes a second."""
AT_ONCE = 16
"""Requests under way while objects are made."""
COUNTERS = (
    *("sent", "unsent", "forbidden", "unroutable", "replies", "foreign"),
    *("forged", "unplanned", "late", "excess", "dropped", "stalled_us"),
)


def make_part(number: int, rows: pa.Table) -> bytes:
    """The bytes of the part of a number."""
    head = {
        "plan": 1,
        "block": 0,
        "start": number * PROBES,
        "end": (number + 1) * PROBES,
        "probes": PROBES,
        "counts": dict.fromkeys(COUNTERS, 0) | {"sent": (number + 1) * PROBES},
    }
    file = io.BytesIO()
    metadata = {"anabranch.part": json.dumps(head)}
    pq.write_table(rows.replace_schema_metadata(metadata), file)
    return file.getvalue()


def fill(store: Store, keys: RunKeys, parts: int) -> None:
    """Put the parts of a step."""
    rows = pa.table({f"column{n}": list(range(ROWS)) for n in range(COLUMNS)})
    folder = keys.step(FIRST).parts(0)

    def put(number: int) -> None:
        key = f"{folder}/{number * PROBES:016}.parquet"
        store.put(key, make_part(number, rows))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(put, range(parts)):
            pass


def report(says: str, store: Store, parts: int) -> None:
    """Print what it takes to look at the parts in a store."""
    keys = RunKeys("bench", "1", "agent")
    fill(store, keys, parts)
    step = keys.step(FIRST)
    depot = Depot(store, step, patience=3600.0, measure=lambda _: nullcontext())
    looks: dict[str, Callable[[], object]] = {
        "to list them": lambda: sum(1 for _ in store.list(step.replies)),
        "an agent's start": lambda: asyncio.run(depot.survey()).parts,
        "where blocks end": lambda: find_ends(store, step)[0] // PROBES,
        "the sums": lambda: count_parts(store, step).probes // PROBES,
    }
    for what, look in looks.items():
        start, used = time.perf_counter(), time.process_time()
        if look() != parts:
            raise RuntimeError(f"{what}: not {parts} parts")
        took, used = time.perf_counter() - start, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{says}, {what}: {took:.1f} s, {took / parts * 1e3:.2f} ms a part, "
            f"{used:.1f} s of processor time, memory so far {peak:.0f} MiB",
            flush=True,
        )


def main() -> None:
    """Print figures of each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=100_000)
    parts = parser.parse_args().parts
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "folder").mkdir()
        report("folder", DirectoryStore(Path(name) / "folder"), parts)
        (Path(name) / "s3").mkdir()
        os.environ |= {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }
        with run_s3(Path(name) / "s3") as server:
            os.environ[ENDPOINT] = server.url
            bucket = S3Store(server.bucket, endpoint_url=server.url)
            report("versitygw", bucket, parts)


if __name__ == "__main__":
    main()
