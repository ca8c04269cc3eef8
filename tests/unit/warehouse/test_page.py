"""The queries of docs/clickhouse.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from anabranch.warehouse.server import ServerEngine
    from jobruns import JobRun

PAGE = (Path(__file__).parents[3] / "docs/clickhouse.md").read_text()
BLOCKS = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
STATEMENTS = [each.strip() for block in BLOCKS for each in block.split(";\n") if each]


@pytest.mark.parametrize("query", [s for s in STATEMENTS if s.startswith("SELECT")])
def test_a_query_of_the_page_finds_something(
    query: str, surveyed: JobRun, engine: ServerEngine
) -> None:
    """On a run that is over."""
    assert engine.read(query.replace("UID", surveyed.uid)).num_rows


def test_a_run_is_removed_as_the_page_says(
    surveyed: JobRun, engine: ServerEngine
) -> None:
    """And is loaded again."""
    (removal,) = (s for s in STATEMENTS if s.startswith("ALTER"))
    count = (
        "SELECT count() AS rows FROM anabranch.replies "
        f"WHERE measurement = '{surveyed.uid}'"
    )
    (before,) = engine.read(count).to_pylist()
    assert before["rows"]
    engine.execute(removal.replace("UID", surveyed.uid))
    assert engine.read(count).to_pylist() == [{"rows": 0}]
    assert surveyed.load() == 0
    assert engine.read(count).to_pylist() == [before]


def test_the_page_has_the_columns_of_each_view(engine: ServerEngine) -> None:
    """In their order, behind those that all rows have."""
    described = re.findall(r"^\| `(\w+)` \| .* \| (`.*) \|$", PAGE, re.MULTILINE)
    # The columns of replies are those of their parts.
    assert len(described) == 9
    for name, columns in described:
        there = engine.read(f"SELECT * FROM anabranch.{name} LIMIT 0").column_names
        rest = [
            column
            for column in there
            if column
            not in {
                *("measurement", "run_id", "agent"),
                *("protocol", "prefix", "prefix_index"),
            }
        ]
        assert re.findall(r"`(\w+)`", columns) == rest, name


def test_clickhouse_understands_the_rights_of_the_page(engine: ServerEngine) -> None:
    """They can't be tried: the engine of the tests has no users."""
    for grant in (s for s in STATEMENTS if s.startswith("GRANT")):
        assert engine.read(f"EXPLAIN AST {grant}").num_rows


def test_each_statement_of_the_page_is_looked_at() -> None:
    """Here, by its kind."""
    kinds = [statement.split()[0] for statement in STATEMENTS]
    assert set(kinds) == {"GRANT", "SELECT", "ALTER"}
    assert kinds.count("SELECT") == 6
