"""The results of a run, as tables for people and programs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from anabranch.runs.finding import find_parts
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.warehouse.addresses import as_text
from anabranch.warehouse.agentdiamonds import put_diamonds
from anabranch.warehouse.agentresults import AgentResults
from anabranch.warehouse.annotation import AS_LINKS
from anabranch.warehouse.diamonds import (
    DISTRIBUTIONS,
    ROUTER_DISTRIBUTIONS,
    DiamondStatistics,
    open_statistics,
)
from anabranch.warehouse.routers import put_routers, read_routers
from anabranch.warehouse.rows import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anabranch.store.store import Store
    from anabranch.warehouse.annotation import Annotator
    from anabranch.warehouse.engine import Engine


class NothingYetError(LookupError):
    """The run has no data yet for a table."""


@dataclass(frozen=True)
class Results:
    """The results of all agents of a run."""

    store: Store
    engine: Engine
    runs: list[RunKeys]
    scratch: Path
    diamond_store: Store
    """The store for diamonds, as in ``AgentResults``."""
    annotator: Annotator | None = None
    """What annotates the addresses of tables that are written, if anything does."""

    @property
    def agents(self) -> list[AgentResults]:
        """The results of each agent."""
        return [
            AgentResults(self.store, self.engine, keys, self.diamond_store)
            for keys in self.runs
        ]

    @property
    def surveyed(self) -> list[AgentResults]:
        """The results of each agent that has links.

        Of the tool aliases, these are the links of the run whose interfaces it
        compares.
        """
        subjects = [
            agent.record.subject for agent in self.agents if "replies" in agent.kinds
        ]
        subject = next((each for each in subjects if each), None)
        if subject is None:
            return self.agents
        ours = self.runs[0]
        return [
            AgentResults(
                self.store,
                self.engine,
                keys,
                self.diamond_store,
                RunKeys(ours.measurement, ours.run_id, keys.agent),
            )
            for keys in find_parts(self.store, subject.uid, subject.run_id)
        ]

    @property
    def tables(self) -> list[str]:
        """The names of the tables that say what was found."""
        # An agent that failed before its start has no record.
        is_traced = any(
            agent.has_paths for agent in self.agents if "replies" in agent.kinds
        )
        is_ping = any(
            agent.is_ping for agent in self.agents if "replies" in agent.kinds
        )
        names = ["interfaces", "links", "diamonds"]
        names += [*(["pings"] if is_ping else []), *(["traces"] if is_traced else [])]
        routers = _OF_ALIASES if self._resolving else ()
        return [*names, *routers, *([AS_LINKS] if self.annotator else [])]

    @property
    def _resolving(self) -> list[AgentResults]:
        """The results of agents that have looked for aliases."""
        there = [agent for agent in self.agents if "replies" in agent.kinds]
        return [agent for agent in there if agent.resolves_aliases]

    def find_routers(self) -> str | None:
        """Find the survey's routers; return the SQL for them.

        None if nobody looked for aliases.
        """
        agents = self._resolving
        if not agents:
            return None
        key = SurveyKeys(self.runs[0].measurement, self.runs[0].run_id).routers
        parts = (agent.compared for agent in agents)
        put_routers(self.diamond_store, self.engine, parts, key, self.scratch)
        return self.diamond_store.read_sql(key)

    def name_routers(self, addresses: Iterable[str]) -> dict[str, str]:
        """Return the routers of those of some addresses that have one with several.

        Raises:
            LookupError: If nobody looked for aliases.
        """
        return read_routers(self.engine, self.find_plain("routers"), addresses)

    def write(self, table: str, output_format: str, file: Path) -> None:
        """Write a table to a new file.

        Raises:
            NothingYetError: If the run has no data for it yet.
            LookupError: If it is a table of another tool.
            OSError: If the file can't be written.
            QueryError: If ClickHouse fails.
        """
        if output_format == "caracal-csv":
            query, engine = self.select("caracal"), self.engine
        elif self.annotator:
            query, engine = self._annotate(table, self.annotator)
        else:
            query, engine = self.select(table), self.engine
        write_rows(engine, query, output_format, file)

    def count(self) -> dict[str, int]:
        """Count distinct interfaces, and distinct links that are not suspect."""
        distinct = {"interfaces": "addr", "links": "near_addr, far_addr"}
        counts = dict.fromkeys(distinct, 0)
        for table, columns in distinct.items():
            with contextlib.suppress(NothingYetError):
                query = self.select(table)
                where = "WHERE NOT is_suspect" if table == "links" else ""
                found = f"SELECT uniqExact({columns}) AS found FROM ({query}) {where}"
                counts[table] = self.engine.read(found).to_pylist()[0]["found"]
        return counts

    @cached_property
    def diamond_statistics(self) -> DiamondStatistics:
        """Statistics of the diamonds of all agents.

        Raises:
            NothingYetError: If there are no links yet.
        """
        return self._open_statistics("diamonds", self.find_plain("diamonds"))

    @cached_property
    def router_diamond_statistics(self) -> DiamondStatistics:
        """Statistics of the diamonds between routers, each with its lowest address.

        Raises:
            NothingYetError: If there are no links yet.
            LookupError: If nobody looked for aliases.
        """
        rows = (
            "SELECT * EXCEPT (divergence_router, convergence_router), "
            "divergence_router AS divergence_addr, "
            "convergence_router AS convergence_addr "
            f"FROM ({self.find_plain('router_diamonds')})"
        )
        return self._open_statistics("router_diamonds", rows)

    def _open_statistics(self, table: str, rows: str) -> DiamondStatistics:
        folder = self.scratch / f"statistics-{table}"
        folder.mkdir()
        return open_statistics(rows, self.engine, folder)

    def find(self, table: str) -> str:
        """Return the SELECT of a table, which a cluster's Job may have stored.

        Raises:
            NothingYetError: If the run has no data for it yet.
            LookupError: If it is a table of another tool.
        """
        if self.annotator:
            query, _ = self._annotate(table, self.annotator)
            return query
        return self.find_plain(table)

    def find_plain(self, table: str) -> str:
        """Return the SELECT of a table as ``find`` does, which nothing annotates.

        Raises:
            NothingYetError: If the run has no data for it yet.
            LookupError: If it is a table of another tool.
        """
        keys = SurveyKeys(self.runs[0].measurement, self.runs[0].run_id)
        try:
            self.store.tail(keys.table(table), 1)
        except FileNotFoundError:
            return self.select(table)
        return f"SELECT * FROM {self.store.read_sql(keys.table(table))}"

    def _annotate(self, table: str, annotator: Annotator) -> tuple[str, Engine]:
        """Return the SELECT of a table with what is known, and what runs it."""
        rows = "links" if table == AS_LINKS else table
        found = annotator.annotate(table, self.select(rows), self.engine)
        return found, annotator.engine

    def select(self, table: str) -> str:
        """Return the SELECT of a table with the rows of all agents.

        Raises:
            NothingYetError: If the run has no data for it yet.
            LookupError: If it is a table of another tool.
        """
        if table in DISTRIBUTIONS:
            return DISTRIBUTIONS[table](self.diamond_statistics.shapes)
        if table in ROUTER_DISTRIBUTIONS:
            return ROUTER_DISTRIBUTIONS[table](self.router_diamond_statistics.shapes)
        needed = "links" if table in _OF_LINKS else "replies"
        routers = self.find_routers() if table in _OF_ROUTERS else None
        if table in _OF_ALIASES and not self._resolving:
            message = f"there are no {table}: no trace looked for aliases"
            raise LookupError(f"{message}; give trace.aliases in the measurement")
        if table == "routers":
            return _select_routers(routers)
        selects = []
        agents = self.surveyed if table in _OF_SURVEYS else self.agents
        for agent in agents:
            if needed not in agent.kinds:
                continue
            _check_tool(agent, table)
            if table in {"diamonds", "router_diamonds"}:
                put_diamonds(agent, self.scratch, routers)
            selects.append(agent.select(table, routers))
        if not selects:
            raise NothingYetError(f"there are no {table} yet; let it run for a while")
        return f"SELECT * FROM ({' UNION ALL '.join(selects)})"


_OF_LINKS = {"links", "diamonds", "paths", "router_links", "router_diamonds"}
"""The tables that come from links."""
_OF_SURVEYS = {*_OF_LINKS, "interfaces"}
"""The tables that the tool aliases tells of the run whose interfaces it compares."""
_OF_ALIASES = ("aliases", "routers", "router_links", "router_diamonds")
"""The tables that take alias resolution."""
_OF_ROUTERS = {*_OF_ALIASES, "diamonds"}
"""The tables that say something of routers, if these are known."""


def _check_tool(agent: AgentResults, table: str) -> None:
    """Raise LookupError if a table is of another tool than the agent's."""
    if table in {"traces", "probes"} and not agent.has_paths:
        raise LookupError(f"there are no {table}: the tool is not trace")
    if table == "pings" and not agent.is_ping:
        raise LookupError("there are no pings: the tool is not ping")


def _select_routers(rows: str | None) -> str:
    """Return the SELECT of routers, a row for each of their addresses."""
    return (
        f"SELECT {as_text('rows.router_addr')} AS router_addr, {as_text('rows.addr')} "
        "AS addr, count() OVER (PARTITION BY rows.router_addr) AS addresses, "
        f"is_in_conflict FROM {rows} AS rows"
    )
