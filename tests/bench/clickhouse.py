"""A round job over S3, by chdb in its own process and by a server of ClickHouse.

The server is chdb behind an HTTP interface, so the difference is what it takes to ask
one: requests, and rows on their way. Both must come to the same.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.api.tool import DiamondMiner
from anabranch.rounds.outcome import Rules
from anabranch.store.directory import DirectoryStore
from anabranch.store.s3 import S3Store
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from anabranch.warehouse.server import ServerEngine
from bench.rounds import EPSILON, KEYS, STEP, make_parts, make_targets
from clickhouseserver import PASSWORD, USER, run_clickhouse
from devcluster.s3 import KEY, REGION, SECRET, run_s3

if TYPE_CHECKING:
    from anabranch.rounds.outcome import Outcome
    from anabranch.store.keys import RunKeys
    from anabranch.warehouse.engine import Engine

RULES = Rules(DiamondMiner(), 10, EPSILON, 1, 255, drop_private=False)
REPEATS = 3
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
}


def conclude(
    store: S3Store, engine: Engine, keys: RunKeys, scratch: Path
) -> tuple[float, Outcome]:
    """How long a round job took, and what it came to."""
    scratch.mkdir()
    engine.read("SELECT 1")  # what it takes to start is not the job's
    start = time.perf_counter()
    outcome = RoundJob(store, engine, keys, RULES, scratch).conclude(STEP)
    return time.perf_counter() - start, outcome


def main() -> None:
    """Prints how long both take, in turn."""
    with (
        tempfile.TemporaryDirectory() as name,
        patch.dict(os.environ, CREDENTIALS),
        run_s3(Path(name)) as s3,
        run_clickhouse(Path(name, "clickhouse")) as server,
        closing(ServerEngine(server.url, USER, PASSWORD)) as asked,
    ):
        folder = Path(name)
        here = DirectoryStore(folder / "local")
        targets = make_targets(here.path(KEYS.targets))
        replies = make_parts(here.path(KEYS.step(STEP).parts(0)), targets)
        there = S3Store(s3.bucket, endpoint_url=s3.url)
        engines: dict[str, Engine] = {"chdb": open_embedded(), "a server": asked}
        took: dict[str, list[float]] = {name: [] for name in engines}
        outcomes = []
        for number, (by, engine) in enumerate(list(engines.items()) * REPEATS):
            keys = replace(KEYS, run_id=f"{number}")
            for key in here.list(KEYS.root):
                there.put(key.replace(KEYS.root, keys.root), here.get(key))
            seconds, outcome = conclude(there, engine, keys, folder / f"{number}")
            took[by].append(seconds)
            outcomes.append(outcome)
    if any(outcome != outcomes[0] for outcome in outcomes):
        raise RuntimeError(f"these are not the same: {outcomes}")
    print(f"{replies:,} replies over S3")
    for by, seconds_each in took.items():
        print(f"by {by}: {min(seconds_each):.1f} to {max(seconds_each):.1f} s")


if __name__ == "__main__":
    main()
