"""Load objects of the store into the tables of a ClickHouse server.

The server reads the store itself. A load may be stopped at any time and done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.runs.record import RunRecord
from anabranch.warehouse.parts import fill, find_blocks, read_steps
from anabranch.warehouse.queries import Replies
from anabranch.warehouse.schema import (
    DIAMONDS,
    LINKS,
    OF_ROUTERS,
    PLANS,
    PREFIXES,
    REPLIES,
    TRACES,
    text,
)
from anabranch.warehouse.traces import choose_answered, read_traces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anabranch.rounds.steps import Step
    from anabranch.store.keys import RunKeys, SurveyKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.schema import Schema, Script, Table
    from anabranch.warehouse.server import ServerEngine

_SETTINGS = (
    # Do not skip blocks that were loaded before: their rows may have been removed.
    "insert_deduplicate = 0, "
    # Wait until the rows are on all servers of a cluster.
    "insert_distributed_sync = 1"
)


@dataclass(frozen=True)
class Tables:
    """The tables of a server."""

    engine: ServerEngine
    schema: Schema

    def prepare(self, keys: RunKeys) -> None:
        """Create the tables, and the views of an agent's run, unless they are there."""
        scripts = (self.schema.make(), self.schema.make_views(keys))
        rows = self.engine.read(self.schema.ask_marks(*scripts)).to_pylist()
        marks = {row["name"]: row["mark"] for row in rows}
        for script in scripts:
            if marks.get(script.view) != script.mark:
                self._run(script)

    def make_anew(self, runs: Iterable[RunKeys]) -> None:
        """Create all tables and views again: servers of a cluster may lack them."""
        self._run(self.schema.make())
        for keys in runs:
            self._run(self.schema.make_views(keys))

    def load_step(self, store: Store, keys: RunKeys, steps: list[Step]) -> None:
        """Load the last of some steps: its plan, replies, prefixes, links, traces."""
        *earlier, step = steps
        load = _Load(self, store, keys)
        load.plan(step)
        for block in find_blocks(store, keys.step(step)):
            load.replies(step, block)
            load.prefixes(steps, block)
            load.links(step, block)
            load.amplified(step, block, earlier)
            load.traces(step, block)

    def load_diamonds(self, store: Store, keys: RunKeys) -> None:
        """Load the diamonds of an agent's run from the store."""
        _Load(self, store, keys).diamonds()

    def load_routers(self, store: Store, keys: SurveyKeys) -> None:
        """Load what alias resolution found, as far as a survey has any of it."""
        there = set(store.list(keys.root))
        target = "splitByChar('/', prefix)"
        for table in OF_ROUTERS:
            if keys.table(table.name) in there:
                told = _tell_survey(keys) | {
                    name: f"toIPv6({name})"
                    for name, kind in table.columns.items()
                    if kind == "IPv6"
                }
                if "prefix" in told:
                    told["prefix"] = f"toIPv6({target}[1])"
                    told["prefix_len"] = f"{target}[2]"
                rows = f"SELECT * FROM {store.read_sql(keys.table(table.name))}"
                self.insert(table, rows, told)

    def insert(self, table: Table, rows: str, told: Mapping[str, str]) -> None:
        """Insert the rows of a query; ``told`` has the SQL of columns to replace."""
        values = ", ".join(
            f"CAST({told.get(name, name)} AS {kind})"
            for name, kind in table.columns.items()
        )
        self.engine.execute(
            f"INSERT INTO {self.schema.name(table)} ({', '.join(table.columns)}) "
            f"SETTINGS {_SETTINGS} SELECT {values} FROM ({rows})"
        )

    def drop(self, keys: SurveyKeys, agents: Iterable[str]) -> None:
        """Remove the rows and views of a run, as far as there are any."""
        rows = self.engine.read(self.schema.ask_names()).to_pylist()
        names = {row["name"] for row in rows}
        for statement in self.schema.drop(keys, agents, names):
            self.engine.execute(statement)

    def _run(self, script: Script) -> None:
        for statement in script.statements:
            self.engine.execute(statement)


@dataclass(frozen=True)
class _Load:
    """A load of rows of an agent's run."""

    tables: Tables
    store: Store
    keys: RunKeys

    def plan(self, step: Step) -> None:
        plan = self.store.read_sql(self.keys.step(step).plan)
        self._insert(PLANS, f"SELECT *, {_tell(step)} FROM {plan}")

    def replies(self, step: Step, block: int) -> None:
        counts = Replies(self._record.drop_private).condition
        parts = self._read(step, f"replies/{block:05}/*.parquet")
        if self._record.tracing:
            parts = choose_answered(parts)
        rows = fill(self.tables.engine, parts, "replies")
        self._insert_of_targets(
            REPLIES, block, f"SELECT *, {counts} AS is_counted FROM {rows}"
        )

    @property
    def _record(self) -> RunRecord:
        return RunRecord.model_validate_json(self.store.get(self.keys.run))

    def traces(self, step: Step, block: int) -> None:
        """Load what tracers concluded, if the run traces."""
        if tracing := self._record.tracing:
            found = read_traces(self._read(step, f"replies/{block:05}/*.parquet"))
            self._insert_of_targets(
                TRACES,
                block,
                f"SELECT *, '{tracing.algorithm}' AS algorithm FROM ({found})",
            )

    def prefixes(self, steps: list[Step], block: int) -> None:
        """Load the prefixes of the last of some steps.

        One whose route changed may have replies in earlier steps alone.
        """
        step = steps[-1]
        parts = self._read(step, f"prefixes/{block:05}-*.parquet")
        rows = fill(self.tables.engine, parts, "prefixes")
        replies = read_steps(
            self.store, self.keys, f"replies/{block:05}/*.parquet", steps
        )
        sources = (
            "SELECT prefix_index, any(probe_src_addr) AS probe_src_addr "
            f"FROM {replies} GROUP BY prefix_index"
        )
        self._insert_of_targets(
            PREFIXES,
            block,
            f"SELECT *, {_tell(step)} FROM {rows} AS known "
            f"INNER JOIN ({sources}) AS sources USING (prefix_index)",
        )

    def links(self, step: Step, block: int) -> None:
        parts = self._read(step, f"links/{block:05}-*.parquet")
        rows = fill(self.tables.engine, parts, "links")
        self._insert_of_targets(
            LINKS, block, f"SELECT *, 0 AS has_amplification FROM {rows}"
        )

    def amplified(self, step: Step, block: int, earlier: list[Step]) -> None:
        """Withdraw the earlier links of prefixes with amplification in this step."""
        rows = read_steps(self.store, self.keys, f"links/{block:05}-*.parquet", earlier)
        if rows is None:
            return
        rows = fill(self.tables.engine, rows, "links")
        prefixes = self._read(step, f"prefixes/{block:05}-*.parquet")
        self._insert_of_targets(
            LINKS,
            block,
            f"SELECT *, 1 AS has_amplification FROM {rows} WHERE prefix_index IN "
            f"(SELECT prefix_index FROM {prefixes} WHERE has_amplification)",
        )

    def diamonds(self) -> None:
        if any(self.store.list(self.keys.diamonds_root)):
            rows = self.store.read_sql(f"{self.keys.diamonds_root}/*.parquet")
            found = fill(self.tables.engine, rows, "diamonds")
            self._insert_of_targets(DIAMONDS, None, f"SELECT * FROM {found}")

    def _read(self, step: Step, pattern: str) -> str:
        return self.store.read_sql(f"{self.keys.step(step).root}/{pattern}")

    def _insert_of_targets(self, table: Table, block: int | None, rows: str) -> None:
        """Insert rows together with their targets, of one block or of all."""
        targets = self.store.read_sql(self.keys.targets)
        which = "1" if block is None else f"block = {block}"
        self._insert(
            table,
            f"SELECT * FROM ({rows}) AS found INNER JOIN (SELECT prefix_index, "
            f"protocol, prefix, prefix_len FROM {targets} WHERE {which}) AS targets "
            "USING (prefix_index)",
        )

    def _insert(self, table: Table, rows: str) -> None:
        told = _tell_survey(self.keys) | {"agent": text(self.keys.agent)}
        self.tables.insert(table, rows, told)


def _tell_survey(keys: SurveyKeys | RunKeys) -> dict[str, str]:
    return {"measurement": text(keys.measurement), "run_id": text(keys.run_id)}


def _tell(step: Step) -> str:
    return f"{step.round} AS round, {step.window} AS window"
