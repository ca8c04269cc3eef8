"""The statements that make tables and views."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.schema import OF_ROUTERS, TABLES, Schema, name_run
from anabranch.warehouse.tables import Tables

if TYPE_CHECKING:
    from anabranch.warehouse.server import ServerEngine
    from clickhouseserver import Server

KEYS = RunKeys("0c9f-1", "2026-w1", "paris.1")
SURVEY = SurveyKeys(KEYS.measurement, KEYS.run_id)


@pytest.mark.parametrize("cluster", ["", "main"])
def test_clickhouse_understands_each_statement(cluster: str) -> None:
    """Its parser does; nothing is run, since there is no cluster here."""
    schema = Schema("surveys", cluster)
    engine = open_embedded()
    scripts = (schema.make(), schema.make_views(KEYS))
    statements = [each for script in scripts for each in script.statements]
    kinds = "local" if cluster else "raw"
    names = [f"{kinds}_{table.name}" for table in TABLES]
    names.append(f"links__{name_run(KEYS)}")
    dropped = list(schema.drop(SURVEY, [KEYS.agent], names))
    assert len(dropped) == len(names)
    statements += dropped
    for statement in statements:
        assert engine.read(f"EXPLAIN AST {statement}").num_rows
        assert ("ON CLUSTER `main`" in statement) is bool(cluster)


def test_in_a_cluster_tables_are_replicated_and_spread_by_prefix() -> None:
    """Rows that are the same must meet on one shard."""
    made = "\n".join(Schema("surveys", "main").make().statements)
    assert made.count("ENGINE = ReplicatedReplacingMergeTree(") == len(TABLES)
    spread = "cityHash64(measurement, run_id, agent, prefix_index))"
    assert made.count(spread) == len(TABLES) - len(OF_ROUTERS)
    for table in OF_ROUTERS:
        assert set(table.shard) <= set(table.key)
        assert f"cityHash64({', '.join(table.shard)}))" in made
    for table in TABLES:
        assert f"Distributed(`main`, `surveys`, `local_{table.name}`, " in made


def test_tables_can_be_made_again_and_get_the_columns_that_they_lack(
    engine: ServerEngine,
) -> None:
    """Those that a later version has, too; what is there stays."""
    schema = Schema("grown")
    for _ in range(2):
        for statement in schema.make().statements:
            engine.execute(statement)
    # As if this version's columns were not there yet.
    engine.execute("ALTER TABLE grown.raw_replies DROP COLUMN quoted_length")
    engine.execute("ALTER TABLE grown.raw_diamonds DROP COLUMN width_asymmetry")
    for table in ("replies", "diamonds"):
        engine.execute(
            f"INSERT INTO grown.raw_{table} (measurement, run_id) VALUES ('m', '1')"
        )
    for statement in schema.make().statements:
        engine.execute(statement)
    rows = engine.read("SELECT measurement, quoted_length FROM grown.replies")
    assert rows.to_pylist() == [{"measurement": "m", "quoted_length": 0}]
    rows = engine.read("SELECT measurement, width_asymmetry FROM grown.diamonds")
    assert rows.to_pylist() == [{"measurement": "m", "width_asymmetry": None}]


def test_views_of_a_run_are_named_as_diamond_miner_names_tables() -> None:
    """By the measurement, the run and the agent; each other run's are others."""
    assert name_run(KEYS) == "0c9f_1__2026_w1__paris__1"
    views = Schema("surveys").make_views(KEYS).statements
    for kind, view in zip(
        ("results", "links", "prefixes", "probes"), views, strict=True
    ):
        name = f"`surveys`.`{kind}__0c9f_1__2026_w1__paris__1`"
        assert view.startswith(f"CREATE OR REPLACE VIEW {name} AS ")


def test_what_is_there_is_not_made_again(
    clickhouse: Server, engine: ServerEngine
) -> None:
    """A Job makes what another run lacks, what changed, or what somebody removed."""
    tables = Tables(engine, Schema("once"))
    views = len(tables.schema.make_views(KEYS).statements)

    def prepare(keys: RunKeys) -> int:
        before = len(clickhouse.queries)
        tables.prepare(keys)
        made = clickhouse.queries[before:]
        return sum(query.startswith(("CREATE ", "ALTER ")) for query in made)

    whole = len(tables.schema.make().statements) + views
    another = replace(KEYS, agent="tokyo")
    assert [prepare(KEYS), prepare(KEYS), prepare(another)] == [whole, 0, views]
    engine.execute("CREATE OR REPLACE VIEW once.diamonds AS SELECT 1")
    assert [prepare(KEYS), prepare(another)] == [whole - views, 0]
    engine.execute("DROP DATABASE once")
    assert prepare(KEYS) == whole


def test_a_server_that_lacks_tables_gets_them_by_a_load(engine: ServerEngine) -> None:
    """One of a cluster may, whose others have all."""
    tables = Tables(engine, Schema("joined"))
    tables.prepare(KEYS)
    engine.execute("DROP TABLE joined.raw_links")
    tables.make_anew([KEYS])
    assert engine.read("SELECT count() AS links FROM joined.links").to_pylist() == [
        {"links": 0}
    ]


def test_a_run_leaves_the_tables(engine: ServerEngine) -> None:
    """With its views; other runs stay, and what is not there is passed over."""
    tables = Tables(engine, Schema("purged"))
    tables.drop(SURVEY, [KEYS.agent])
    other = replace(KEYS, run_id="other")
    for keys in (KEYS, other):
        tables.prepare(keys)
        for table in TABLES:
            engine.execute(
                f"INSERT INTO {tables.schema.name(table)} (measurement, run_id) "
                f"VALUES ('{keys.measurement}', '{keys.run_id}')"
            )
    for _ in range(2):
        tables.drop(SURVEY, [KEYS.agent, "another"])
    for table in TABLES:
        rows = engine.read(f"SELECT run_id FROM purged.raw_{table.name}").to_pylist()
        assert [row["run_id"] for row in rows] == ["other"]
    names = [row["name"] for row in engine.read(tables.schema.ask_names()).to_pylist()]
    assert f"results__{name_run(other)}" in names
    assert not [name for name in names if name.endswith(name_run(KEYS))]
