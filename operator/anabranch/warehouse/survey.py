"""A survey in a store, whose results are Arrow tables."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.runs.finding import find_runs
from anabranch.runs.removal import staying
from anabranch.store.directory import DirectoryStore
from anabranch.store.location import open_location
from anabranch.warehouse.annotation import AS_LINKS, Annotator
from anabranch.warehouse.damage import check_whole, naming_damage
from anabranch.warehouse.diamonds import DISTRIBUTIONS, ROUTER_DISTRIBUTIONS
from anabranch.warehouse.difference import UNSURE, Difference
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.results import Results
from anabranch.warehouse.rows import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from anabranch_engine import Annotations

    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine

TABLES = (
    *("interfaces", "links", "diamonds", *DISTRIBUTIONS, "paths", "replies"),
    *(
        "rewrites",
        "pings",
        "traces",
        "probes",
        "aliases",
        "routers",
        "router_links",
        "router_diamonds",
        *ROUTER_DISTRIBUTIONS,
        AS_LINKS,
    ),
)
"""The names of all tables; pings are of the tool ping, traces and probes of the tool
trace, aliases and routers of its alias resolution, and links between ASes take
annotations."""


@dataclass(frozen=True)
class Survey:
    """The run of a measurement, in a directory or a bucket.

    Its tables are read from the store each time. They have the same columns as those
    of ``anabranch results``, and addresses are text. Reading a table raises
    ``LookupError`` if the survey has no data for it, ``DamagedError`` (a
    ``ValueError``) if an object of the store is missing or can't be used, and
    ``QueryError`` (a ``RuntimeError``) if the table is too large for the memory.
    """

    store: Store
    runs: tuple[RunKeys, ...]
    """The keys of each agent's part."""
    known: Annotations | None = None
    """What is known about addresses, which tables say then."""

    @property
    def agents(self) -> list[str]:
        """The names of the agents that took part."""
        return [run.agent for run in self.runs]

    @property
    def run_id(self) -> str:
        """The run's ID."""
        return self.runs[0].run_id

    @property
    def interfaces(self) -> pa.Table:
        """Interfaces of routers, a row for each agent that had a reply from one."""
        return self.read("interfaces")

    @property
    def links(self) -> pa.Table:
        """Links between interfaces, a row for each agent that saw one."""
        return self.read("links")

    @property
    def diamonds(self) -> pa.Table:
        """Diamonds on the paths of an agent to a target."""
        return self.read("diamonds")

    @property
    def diamond_distributions(self) -> pa.Table:
        """How many diamonds have each value of each metric, and their shares."""
        return self.read("diamond_distributions")

    @property
    def diamond_sizes(self) -> pa.Table:
        """How many diamonds have each max length together with each max width."""
        return self.read("diamond_sizes")

    @property
    def paths(self) -> pa.Table:
        """Links on the paths of an agent to a target, by round."""
        return self.read("paths")

    @property
    def as_links(self) -> pa.Table:
        """Links between ASes, if it was opened with files to annotate it."""
        return self.read(AS_LINKS)

    @property
    def replies(self) -> pa.Table:
        """Replies to probes; ``stream`` takes less memory."""
        return self.read("replies")

    @property
    def rewrites(self) -> pa.Table:
        """Fields of probes that middleboxes rewrite."""
        return self.read("rewrites")

    @property
    def pings(self) -> pa.Table:
        """Replies, loss and round-trip times, a row for each address of an agent."""
        return self.read("pings")

    @property
    def traces(self) -> pa.Table:
        """What tracers concluded, a row for each destination of an agent."""
        return self.read("traces")

    @property
    def aliases(self) -> pa.Table:
        """What alias resolution says of pairs of addresses, by agent and test."""
        return self.read("aliases")

    @property
    def routers(self) -> pa.Table:
        """Routers with several addresses, a row for each address."""
        return self.read("routers")

    @property
    def router_links(self) -> pa.Table:
        """Links between routers, a row for each agent that saw one."""
        return self.read("router_links")

    @property
    def router_diamonds(self) -> pa.Table:
        """Diamonds between routers on the paths of an agent to a target."""
        return self.read("router_diamonds")

    @property
    def router_diamond_distributions(self) -> pa.Table:
        """As ``diamond_distributions``, of diamonds between routers."""
        return self.read("router_diamond_distributions")

    @property
    def router_diamond_sizes(self) -> pa.Table:
        """As ``diamond_sizes``, of diamonds between routers."""
        return self.read("router_diamond_sizes")

    @property
    def probes(self) -> pa.Table:
        """Probes of traces, answered or not; ``stream`` takes less memory."""
        return self.read("probes")

    def read(self, table: str) -> pa.Table:
        """Return a table by its name."""
        with self.open_results() as results:
            return results.engine.read(self._select(results, table))

    def stream(self, table: str) -> pa.RecordBatchReader:
        """Return a table batch by batch, in bounded memory.

        The batches hold scratch files until they are read or dropped.
        """
        # Others may ask meanwhile, and an engine runs one query at a time.
        engine = open_embedded()
        with ExitStack() as opened:
            results = opened.enter_context(
                open_results(self.store, self.runs, engine, self.known)
            )
            batches = engine.read_batches(self._select(results, table))
            kept = opened.pop_all()
        return pa.RecordBatchReader.from_batches(batches.schema, _read(batches, kept))

    def write(self, table: str, output_format: str, file: Path) -> None:
        """Write a table to a new file, in a format of ``anabranch results``."""
        with self.open_results() as results:
            if output_format == "caracal-csv":
                results.write(table, output_format, file)
            else:
                query = self._select(results, table)
                write_rows(results.engine, query, output_format, file)

    def diff(
        self, after: Survey, table: str, failure_probability: float = UNSURE
    ) -> pa.Table:
        """Return what differs in another survey, as ``anabranch diff --table`` does.

        ``table`` is interfaces, links or diamonds. A link that went is said to be gone
        if ``failure_probability`` is at least the probability that a survey misses it.
        """
        with open_difference(self, after, failure_probability) as difference:
            return difference.engine.read(difference.select(table))

    def open_results(self) -> AbstractContextManager[Results]:
        """Open the results for other questions than those for whole tables."""
        return open_results(self.store, self.runs, known=self.known)

    def _select(self, results: Results, table: str) -> str:
        if table == AS_LINKS and not self.known:
            raise LookupError("which AS an address is of, a file says: name one")
        if table not in TABLES:
            raise LookupError(f"there is no table {table!r}, only {', '.join(TABLES)}")
        return results.find(table)


@contextmanager
def open_difference(
    before: Survey, after: Survey, failure_probability: float
) -> Iterator[Difference]:
    """Open the difference between two surveys; see ``Survey.diff``."""
    engine = open_embedded()
    with (
        open_results(before.store, before.runs, engine) as old,
        open_results(after.store, after.runs, engine) as new,
        tempfile.TemporaryDirectory() as scratch,
    ):
        yield Difference(old, new, Path(scratch), failure_probability)


def open_survey(
    location: str | os.PathLike[str],
    measurement: str,
    *,
    namespace: str = "default",
    run_id: str | None = None,
    known: Annotations | None = None,
) -> Survey:
    """Open a measurement's run in a directory, or in ``s3://BUCKET/PREFIX``.

    Raises:
        LookupError: If there is no such run, or several and ``run_id`` is None.
    """
    store = open_location(location, os.environ)
    runs = tuple(find_runs(store, namespace, measurement, run_id))
    return Survey(store, runs, known)


@contextmanager
def open_results(
    store: Store,
    runs: Iterable[RunKeys],
    engine: Engine | None = None,
    known: Annotations | None = None,
) -> Iterator[Results]:
    """Open the results of a run, with an engine in this process by default.

    ``known`` annotates the addresses of tables.

    Raises:
        DamagedError: If an object of the run is missing or can't be used. The body of
            the ``with`` statement may raise it too.
        RemovedError: If the run was removed meanwhile.
    """
    keys = list(runs)
    with staying(store, keys), tempfile.TemporaryDirectory() as name:
        check_whole(store, keys)
        scratch = Path(name)
        # Keep diamonds in the scratch folder: they change while the run goes on.
        found = DirectoryStore(scratch)
        engine = engine or open_embedded()
        annotator = Annotator(known, engine, scratch) if known else None
        with naming_damage(store, keys):
            yield Results(store, engine, keys, scratch, found, annotator)


def _read(batches: pa.RecordBatchReader, kept: ExitStack) -> Iterator[pa.RecordBatch]:
    with kept:
        yield from batches
