"""Runs whose Jobs use a server, and what is in its tables."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.jobs.load import load
from anabranch.rounds.steps import FIRST
from anabranch.runs.report import AWAY
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.warehouse.environment import PASSWORD, URL
from anabranch.warehouse.schema import TABLES, Schema, text
from anabranch.warehouse.tables import Tables
from clickhouseserver import run_clickhouse
from jobruns import AGENTS, JobRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch.store.s3 import S3Store
    from anabranch.warehouse.server import ServerEngine
    from clickhouseserver import Server

VIEWS = ("plans", "replies", "prefixes", "interfaces", "links", "diamonds")
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def embedded(
    store: S3Store, of_jobs: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> JobRun:
    """The same run, of Jobs that run their SQL themselves."""
    run = JobRun(store, tmp_path_factory.mktemp("scratch"), "embedded", of_jobs)
    run.survey()
    return run


def read_views(engine: ServerEngine, run: JobRun) -> Rows:
    """All that people see of a run."""
    return {
        view: [
            tuple(str(value) for value in row.values())
            for row in engine.read(
                f"SELECT * FROM anabranch.{view} "
                f"WHERE measurement = {text(run.uid)} ORDER BY ALL"
            ).to_pylist()
        ]
        for view in VIEWS
    }


def drop(engine: ServerEngine, run: JobRun) -> None:
    """Removes a run from all tables, as the documentation has it."""
    for table in TABLES:
        engine.execute(
            f"ALTER TABLE anabranch.raw_{table.name} "
            f"DROP PARTITION ({text(run.uid)}, {text(run.run_id)})"
        )


def read_objects(run: JobRun) -> dict[str, Any]:
    """All that a run has in the store, by what does not name it; Parquet as rows."""
    found: dict[str, Any] = {}
    roots = [run.agent_keys(agent).root for agent in AGENTS]
    for root in (*roots, run.keys.root):
        for key in run.store.list(root):
            content = run.store.get(key)
            name = key.replace(run.uid, "UID")
            if key.endswith(".parquet"):
                rows = pq.read_table(io.BytesIO(content)).to_pylist()
                found[name] = sorted(rows, key=str)
            elif key.endswith(("outcome.json", "summary.json")):
                found[name] = json.loads(content)
    return found


def test_a_server_comes_to_the_same(surveyed: JobRun, embedded: JobRun) -> None:
    """Outcomes, plans, links and results, with all that they hold."""
    ours, theirs = read_objects(surveyed), read_objects(embedded)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if ours[name] != theirs[name]]
    assert different == []
    kinds = Counter(name.rpartition("/")[2].partition(".")[0] for name in ours)
    assert {"interfaces", "links", "diamonds", "summary", "outcome"} <= kinds.keys()
    last = list(surveyed.read_outcomes(AGENTS[0]).values())[-1]
    assert last.links > 100
    assert last.amplified == 1


def test_all_replies_are_in_the_table(surveyed: JobRun, engine: ServerEngine) -> None:
    """With all of their columns, and the targets that they are to."""
    for agent in AGENTS:
        wanted = Counter(str(unpack(row)) for row in surveyed.read_replies(agent))
        names = ", ".join(next(iter(surveyed.read_replies(agent))))
        rows = engine.read(
            f"SELECT {names} FROM anabranch.replies WHERE measurement = "
            f"{text(surveyed.uid)} AND agent = '{agent}'"
        ).to_pylist()
        assert Counter(str(unpack(row)) for row in rows) == wanted
        assert wanted.total() > 1000


def unpack(row: dict[str, Any]) -> dict[str, Any]:
    """A reply with its addresses as such."""
    return {
        name: IPv6Address(value) if name.endswith("_addr") else value
        for name, value in row.items()
    }


def unpack_routers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of what alias resolution found with its addresses as such."""
    return {
        name: IPv6Address(value)
        if name == "prefix" or name.endswith(("addr", "_router"))
        else value
        for name, value in row.items()
    }


def test_the_tables_say_what_the_results_say(
    surveyed: JobRun, engine: ServerEngine
) -> None:
    """Interfaces, links and diamonds; without those of prefixes with amplification."""
    mine = f"WHERE measurement = {text(surveyed.uid)}"
    queries = {
        "interfaces": (
            "SELECT agent, addr, min_ttl, max_ttl, replies, prefixes "
            f"FROM anabranch.interfaces {mine}"
        ),
        "links": (
            "SELECT agent, near_addr, far_addr, min(near_ttl), max(near_ttl), "
            "uniqExact(prefix_index), sum(flows), min(greatest(near_round, far_round)) "
            "AS first_round, min(near_round != far_round), min(is_suspect) "
            f"FROM anabranch.links {mine} GROUP BY agent, near_addr, far_addr"
        ),
        "diamonds": (
            "SELECT agent, concat(replaceOne(toString(prefix), '::ffff:', ''), '/', "
            "toString(prefix_len)), protocol, divergence_ttl, divergence_addr, "
            "convergence_ttl, convergence_addr, max_length, max_width, "
            "width_asymmetry, meshed_ratio, probability_difference, becomes, "
            "router_diamonds, router_max_length, router_max_width "
            f"FROM anabranch.diamonds {mine}"
        ),
    }
    for table, query in queries.items():
        content = io.BytesIO(surveyed.store.get(surveyed.keys.table(table)))
        wanted = {tuple(row.values()) for row in pq.read_table(content).to_pylist()}
        found = {
            tuple(as_text(value) for value in row.values())
            for row in engine.read(query).to_pylist()
        }
        assert found == wanted != set()


def as_text(value: Any) -> Any:
    """A value as results have it: addresses as text."""
    if not isinstance(value, bytes):
        return value
    address = IPv6Address(value)
    return str(address.ipv4_mapped or address)


def test_what_is_loaded_again_is_there_once(
    surveyed: JobRun, engine: ServerEngine, tmp_path: Path
) -> None:
    """Also by two at once; and what was removed is there again."""
    before = read_views(engine, surveyed)
    assert all(before.values())
    tables = Tables(engine, Schema("anabranch"))

    def load_again() -> None:
        done.append(list(load(surveyed.store, tables, surveyed.keys, tmp_path)))

    done: list[list[tuple[str, int]]] = []
    threads = [threading.Thread(target=load_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [[(agent, 3) for agent in AGENTS]] * 2
    assert read_views(engine, surveyed) == before
    drop(engine, surveyed)
    assert not any(read_views(engine, surveyed).values())
    assert surveyed.load() == 0
    assert read_views(engine, surveyed) == before


def test_routers_are_in_tables_of_their_own(
    store: S3Store, engine: ServerEngine, tmp_path: Path
) -> None:
    """As results have them, however often they are loaded, and go with their run."""
    routers: dict[str, Any] = {
        "router_addr": "240.0.0.1",
        "addr": "240.0.0.9",
        "addresses": 2,
        "is_in_conflict": 1,
    }
    links: dict[str, Any] = {
        "agent": "paris",
        "near_router": "3fff::1",
        "far_router": "3fff::2",
        "links": 3,
        "prefixes": 2,
        "flows": 9,
    }
    diamonds: dict[str, Any] = {
        "agent": "paris",
        "protocol": 17,
        "prefix": "240.0.3.0/24",
        "divergence_ttl": 2,
        "divergence_router": "240.0.0.1",
        "convergence_ttl": 4,
        "convergence_router": "240.0.1.1",
        "max_length": 2,
        "max_width": 3,
        "width_asymmetry": 0,
        "meshed_ratio": 0.5,
        "probability_difference": None,
    }
    keys = SurveyKeys("of-routers", "1")
    tables = Tables(engine, Schema("anabranch"))
    tables.prepare(RunKeys(keys.measurement, keys.run_id, "paris"))
    tables.load_routers(store, keys)
    for name, row in (
        ("routers", routers),
        ("router_links", links),
        ("router_diamonds", diamonds),
    ):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rows")
        store.put_file(keys.table(name), tmp_path / "rows")
    for _ in range(2):
        tables.load_routers(store, keys)
    mine = f"WHERE measurement = {text(keys.measurement)}"

    def read(table: str) -> list[dict[str, Any]]:
        rows = engine.read(
            f"SELECT * EXCEPT (measurement, run_id) FROM anabranch.{table} {mine}"
        ).to_pylist()
        return [
            {
                name: str(value.ipv4_mapped or value)
                if isinstance(value, IPv6Address)
                else value
                for name, value in unpack_routers(row).items()
            }
            for row in rows
        ]

    assert read("routers") == [routers]
    assert read("router_links") == [links]
    diamonds |= {"prefix": "240.0.3.0", "prefix_len": 24}
    assert read("router_diamonds") == [diamonds]
    tables.drop(keys, ["paris"])
    assert not read("routers")


class CrashError(Exception):
    """What ends a process."""


@dataclass
class CrashingEngine:
    """A server whose client ends twice at each statement: before, and then after it."""

    engine: ServerEngine
    tries: Counter[str] = field(default_factory=Counter)

    def read(self, query: str) -> pa.Table:
        """The rows of a SELECT."""
        return self.engine.read(query)

    def execute(self, statement: str) -> None:
        """Does it, perhaps."""
        self.tries[statement] += 1
        if self.tries[statement] == 1:
            raise CrashError
        self.engine.execute(statement)
        if self.tries[statement] == 2:
            raise CrashError


def test_loading_may_be_ended_anywhere(surveyed: JobRun, engine: ServerEngine) -> None:
    """And goes on as if it had not been; no row is lost, and none is there twice."""
    before = read_views(engine, surveyed)
    drop(engine, surveyed)
    crashing = CrashingEngine(engine)
    tables = Tables(cast("ServerEngine", crashing), Schema("anabranch"))
    for agent in AGENTS:
        keys = surveyed.agent_keys(agent)
        steps = list(surveyed.read_outcomes(agent))
        for number in range(len(steps)):
            done = steps[: number + 1]
            insist(partial(tables.load_step, surveyed.store, keys, done))
        insist(partial(tables.load_diamonds, surveyed.store, keys))
    assert read_views(engine, surveyed) == before
    assert len(crashing.tries) > 20
    assert min(crashing.tries.values()) > 2


def insist(act: Callable[[], None]) -> None:
    """Does what ends in the middle, until it does not."""
    while True:
        try:
            act()
        except CrashError:
            continue
        return


def test_a_run_outlives_its_server(
    store: S3Store,
    of_jobs: dict[str, str],
    embedded: JobRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While it is away Jobs are tried again; a wrong password is an error."""
    agent = AGENTS[0]
    with run_clickhouse(tmp_path / "server") as server:
        run = JobRun(store, tmp_path, "outlives", of_jobs | server.environment)
        run.start()
        run.begin(agent)
        run.probe(agent, FIRST)
        assert run.conclude(agent, FIRST) == 0
        following = run.read_outcomes(agent)[FIRST].next_step
        assert following
        run.probe(agent, following)
        server.kill()
        assert run.conclude(agent, following) == AWAY
        assert "ClickHouse can't be reached at http" in capsys.readouterr().err
        assert following not in run.read_outcomes(agent)
    with run_clickhouse(tmp_path / "server", server.port) as server:
        wrong = JobRun(store, tmp_path, run.uid, run.environment | {PASSWORD: "wrong"})
        assert wrong.conclude(agent, following) == 1
        assert "Authentication failed" in capsys.readouterr().err
        run.go_on(agent, following)
    assert run.read_outcomes(agent) == embedded.read_outcomes(agent)


def test_a_run_without_a_server_can_be_loaded_later(
    embedded: JobRun, surveyed: JobRun, clickhouse: Server, engine: ServerEngine
) -> None:
    """With the same rows, but for its name."""
    later = JobRun(
        embedded.store,
        embedded.scratch,
        embedded.uid,
        embedded.environment | clickhouse.environment,
    )
    assert later.load() == 0
    wanted = {
        view: [row[1:] for row in rows]
        for view, rows in read_views(engine, surveyed).items()
    }
    found = {
        view: [row[1:] for row in rows]
        for view, rows in read_views(engine, later).items()
    }
    assert found == wanted


def test_what_can_not_be_loaded_is_told(
    surveyed: JobRun, of_jobs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No such run, and no server."""
    gone = JobRun(surveyed.store, surveyed.scratch, "gone", surveyed.environment)
    assert gone.load() == 1
    assert "surveys/gone/1/roster.json: " in capsys.readouterr().err
    alone = JobRun(surveyed.store, surveyed.scratch, surveyed.uid, of_jobs)
    assert alone.load() == 1
    assert f"{URL} is not set" in capsys.readouterr().err
