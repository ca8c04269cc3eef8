"""Replies to real packets in the tables of a ClickHouse server."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.runs.chain import read_outcomes
from anabranch.store.directory import DirectoryStore
from anabranch.store.s3 import S3Store
from anabranch.warehouse.schema import Schema
from anabranch.warehouse.server import ServerEngine
from anabranch.warehouse.survey import open_survey
from anabranch.warehouse.tables import Tables
from clickhouseserver import PASSWORD, USER, run_clickhouse
from jobruns import COLUMNS
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.s3 import S3

TARGETS = ["240.0.0.0/19,udp,1,20,6", "3fff::/60,icmp6,1,20,6"]


def test_each_reply_is_there_once(s3: S3, tmp_path: Path) -> None:
    """Also where probes have more than one; parts are as other tests make them."""
    world = World(32, 16, switches={"amplification": 0.2})
    data = tmp_path / "data"
    survey(world, write_manifests(tmp_path, TARGETS, maxRounds=2), data)
    (keys,) = open_survey(data, "survey").runs
    here, there = DirectoryStore(data), S3Store(s3.bucket, endpoint_url=s3.url)
    for key in here.list(keys.root):
        if key.endswith((".parquet", ".json")):
            there.put(key, here.get(key))
    parts = [here.path(key) for key in here.list(keys.root) if "/replies/" in key]
    wanted: Counter[tuple[str, ...]] = Counter()
    for part in (part for part in parts if part.suffix == ".parquet"):
        assert pq.read_schema(part).remove_metadata() == COLUMNS
        wanted += count(pq.read_table(part))
    with (
        run_clickhouse(tmp_path / "clickhouse") as server,
        closing(ServerEngine(server.url, USER, PASSWORD)) as engine,
    ):
        tables = Tables(engine, Schema("anabranch"))
        tables.prepare(keys)
        steps = list(read_outcomes(there, keys))
        for number in range(len(steps)):
            tables.load_step(there, keys, steps[: number + 1])
        names = ", ".join(COLUMNS.names)
        found = count(engine.read(f"SELECT {names} FROM anabranch.replies"))
        (amplified,) = engine.read(
            "SELECT countIf(has_amplification) AS prefixes FROM anabranch.prefixes"
        ).to_pylist()
    assert found == wanted
    assert wanted.total() > 1000
    assert amplified["prefixes"] > 1


def count(replies: pa.Table) -> Counter[tuple[str, ...]]:
    """How many replies there are of each content."""
    return Counter(
        tuple(
            str(IPv6Address(value) if isinstance(value, bytes) else value)
            for value in row.values()
        )
        for row in replies.to_pylist()
    )
