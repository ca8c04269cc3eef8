"""The results of one agent in a run, as the text of SELECTs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST
from anabranch.runs.chain import read_outcomes
from anabranch.runs.record import RunRecord
from anabranch.warehouse.addresses import OF_PACKETS, as_text
from anabranch.warehouse.parts import fill
from anabranch.warehouse.pings import time_pings
from anabranch.warehouse.queries import Replies, judge_links
from anabranch.warehouse.replies import count_rewrites, name_as_caracal
from anabranch.warehouse.routers import name_routers, place_pairs
from anabranch.warehouse.traces import (
    CONCLUSION,
    choose_answered,
    read_aliases,
    read_traces,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine


_KINDS = frozenset({"replies", "prefixes", "links"})
"""The kinds of objects that steps have several of."""


@dataclass(frozen=True)
class AgentResults:
    """The results of one agent in a run; tables are given as the text of a SELECT."""

    store: Store
    engine: Engine
    keys: RunKeys
    diamond_store: Store
    """The store for diamonds. For a run that has ended it is ``store``. For a run in
    progress it is another one, since its diamonds still change."""
    diamond_keys: RunKeys | None = None
    """The run to which diamonds belong, if it is another one: one that has found the
    routers of this one."""

    @property
    def kinds(self) -> set[str]:
        """The kinds of objects that the run has: replies, links, prefixes."""
        root, found = f"{self.keys.root}/", set[str]()
        for key in self.store.list(self.keys.root):
            below = key.removeprefix(root).split("/")[1:-1]
            if below and key.endswith(".parquet"):
                found.add(below[0])
            # Its first step has all of them, as soon as it is concluded.
            if found >= _KINDS:
                break
        return found

    @property
    def _targets(self) -> str:
        targets = self.store.read_sql(self.keys.targets)
        name = f"concat({as_text('prefix')}, '/', toString(prefix_len)) AS prefix"
        return f"(SELECT prefix_index, protocol, {name} FROM {targets})"

    @cached_property
    def record(self) -> RunRecord:
        """The record with which the run was started."""
        return RunRecord.model_validate_json(self.store.get(self.keys.run))

    @property
    def is_traced(self) -> bool:
        """Whether the parts hold traces."""
        return self.record.tracing is not None

    @property
    def has_paths(self) -> bool:
        """Whether the parts hold traces of paths, and not of alias resolution alone."""
        return self.is_traced and self.record.subject is None

    @property
    def is_ping(self) -> bool:
        """Whether the probes are echo requests to each address."""
        return self.record.measurement.spec.ping is not None

    @property
    def resolves_aliases(self) -> bool:
        """Whether the traces look for aliases."""
        tracing = self.record.tracing
        return tracing is not None and tracing.alias_rounds is not None

    @property
    def kept(self) -> RunKeys:
        """The keys of the run to which diamonds belong."""
        return self.diamond_keys or self.keys

    @property
    def rows(self) -> str:
        """The SQL for all rows of the run's parts."""
        return self._read("replies/*/*.parquet")

    @property
    def compared(self) -> str:
        """The SQL for the rows that say what alias resolution has found.

        Of the tool aliases these are the latest step's, which tests again what the step
        before has accepted.
        """
        if not self.record.subject:
            return self.rows
        start = len(self.keys.root) + 1
        steps = {part[start:].partition("/")[0] for part in self.list_parts()}
        return self.store.read_sql(f"{self.keys.root}/{max(steps)}/replies/*/*.parquet")

    def list_parts(self) -> list[str]:
        """Return the keys of the run's parts, in order."""
        keys = self.store.list(self.keys.root)
        return [key for key in keys if "/replies/" in key and key.endswith(".parquet")]

    @property
    def answered(self) -> str:
        """The SQL for the parts' rows that are replies."""
        return choose_answered(self.rows) if self.is_traced else self.rows

    def judge(self, block: str = "*", condition: str = "1") -> str:
        """Return the SQL for links of prefixes without amplification.

        The condition is one of ``prefix_index``. Suspect links are marked.
        """
        links, prefixes = (
            f"(SELECT * FROM {fill(self.engine, rows, kind)} WHERE {condition})"
            for kind in ("links", "prefixes")
            for rows in [self._read(f"{kind}/{block}.parquet")]
        )
        return judge_links(links, prefixes)

    def _read(self, pattern: str) -> str:
        """Return the SQL for the objects of all steps that match a pattern."""
        return self.store.read_sql(f"{self.keys.root}/*/{pattern}")

    def select(self, table: str, routers: str | None = None) -> str:
        """Return the SELECT of a table; ``caracal`` has the columns of caracal.

        ``routers`` is the SQL for the survey's routers, which some tables take.
        """
        if routers and table == "aliases":
            return self.tell_aliases(routers)
        if routers and table == "router_links":
            return self.link_routers(routers)
        query: str = getattr(self, table)
        return query

    @property
    def caracal(self) -> str:
        """Replies with caracal's columns, in their order."""
        return name_as_caracal(self.answered)

    @property
    def replies(self) -> str:
        """Replies with all columns, and the target of each."""
        addresses = (*OF_PACKETS, "gateway")
        text = ", ".join(f"{as_text(name)} AS {name}" for name in addresses)
        return (
            f"SELECT '{self.keys.agent}' AS agent, prefix, * EXCEPT (prefix, protocol) "
            f"FROM (SELECT * EXCEPT ({', '.join(addresses)}), {text} "
            f"FROM {fill(self.engine, self.answered, 'replies')}) AS replies "
            f"INNER JOIN {self._targets} AS targets USING (prefix_index)"
        )

    @property
    def probes(self) -> str:
        """Probes of traces, with the reply to each if one came."""
        text = ", ".join(
            f"{as_text(name)} AS {name}" for name in (*OF_PACKETS, "gateway")
        )
        left_out = ", ".join((*OF_PACKETS, "gateway"))
        return (
            f"SELECT '{self.keys.agent}' AS agent, prefix, * EXCEPT (prefix, protocol) "
            f"FROM (SELECT * EXCEPT ({left_out}), {text} FROM "
            f"(SELECT * EXCEPT ('{CONCLUSION}') FROM {self.rows} WHERE attempt > 0)"
            ") AS probes "
            f"INNER JOIN {self._targets} AS targets USING (prefix_index)"
        )

    @property
    def pings(self) -> str:
        """What came of echo requests, a row for each address."""
        told = time_pings(self.rows, self.pinged)
        return f"SELECT '{self.keys.agent}' AS agent, * FROM ({told})"

    @property
    def pinged(self) -> str:
        """The SQL for the addresses that were pinged, and the requests sent to each.

        The requests are null while nobody knows which of them were sent: if the run
        goes on, or was cut short.
        """
        outcomes = read_outcomes(self.store, self.keys)
        is_whole = bool(outcomes) and not outcomes[FIRST].is_cut
        requests = "flow_count" if is_whole else "NULL"
        plan = self.store.read_sql(self.keys.step(FIRST).plan)
        return (
            "(SELECT prefix_index, prefix, protocol, "
            f"CAST({requests} AS Nullable(UInt32)) AS requests FROM {plan})"
        )

    @property
    def traces(self) -> str:
        """What tracers concluded: a row a destination."""
        tracing = self.record.tracing
        algorithm = tracing.algorithm if tracing else ""
        return (
            f"SELECT '{self.keys.agent}' AS agent, prefix, protocol, "
            f"{as_text('found.destination')} AS destination, "
            f"'{algorithm}' AS algorithm, end_reason, switch, switch_ttl, "
            "failure_probability, unsteady_ttls, gone_ttls, probes, began_us, ended_us "
            f"FROM ({read_traces(self.rows)}) AS found "
            f"INNER JOIN {self._targets} AS targets USING (prefix_index)"
        )

    @property
    def rewrites(self) -> str:
        """Fields of probes that a middlebox rewrites, and from which TTL on."""
        told = count_rewrites(fill(self.engine, self.answered, "replies"))
        return f"SELECT '{self.keys.agent}' AS agent, * FROM ({told})"

    @property
    def interfaces(self) -> str:
        """Interfaces of routers: the senders of time exceeded."""
        replies = Replies(self.record.drop_private).choose(self.answered)
        return (
            f"SELECT '{self.keys.agent}' AS agent, {as_text('found.addr')} AS addr, "
            "min(ttl) AS min_ttl, max(ttl) AS max_ttl, count() AS replies, "
            f"uniqExact(prefix_index) AS prefixes FROM ({replies}) AS found "
            "GROUP BY found.addr"
        )

    @property
    def links(self) -> str:
        """Distinct links."""
        return (
            f"SELECT '{self.keys.agent}' AS agent, "
            f"{as_text('found.near_addr')} AS near_addr, "
            f"{as_text('found.far_addr')} AS far_addr, min(near_ttl) AS min_near_ttl, "
            "max(near_ttl) AS max_near_ttl, uniqExact(prefix_index) AS prefixes, "
            "sum(flows) AS flows, min(greatest(near_round, far_round)) AS first_round, "
            "min(near_round != far_round) AS is_inter_round, "
            f"min(found.is_suspect) AS is_suspect FROM {self.judge()} AS found "
            "GROUP BY found.near_addr, found.far_addr"
        )

    @property
    def paths(self) -> str:
        """The links on the paths to each target, by round, without suspect ones."""
        return self._lead("1")

    def approach(self, prefixes: Iterable[str]) -> str | None:
        """Return the SELECT of the paths to some targets, which reads little else.

        Return None if the run has none of them.
        """
        networks = map(ip_network, prefixes)
        these = " OR ".join(
            f"prefix = toFixedString(IPv6StringToNum('{network.network_address}'), 16) "
            f"AND prefix_len = {network.prefixlen}"
            for network in networks
        )
        targets = self.store.read_sql(self.keys.targets)
        found = self.engine.read(f"SELECT prefix_index FROM {targets} WHERE {these}")
        indices = ", ".join(map(str, found["prefix_index"].to_pylist()))
        return self._lead(f"prefix_index IN ({indices})") if indices else None

    def _lead(self, condition: str) -> str:
        targets = f"(SELECT * FROM {self._targets} WHERE {condition})"
        return (
            f"SELECT '{self.keys.agent}' AS agent, prefix, protocol, near_ttl, "
            f"{as_text('links.near_addr')} AS near_addr, "
            f"{as_text('links.far_addr')} AS far_addr, "
            "greatest(near_round, far_round) AS round, flows "
            f"FROM {self.judge(condition=condition)} AS links "
            f"INNER JOIN {targets} AS targets USING (prefix_index) "
            "WHERE NOT is_suspect"
        )

    def cross(self, condition: str) -> str:
        """Return the SQL for the links of each target that fulfil a condition.

        The condition may name near_addr and far_addr, which are 16 bytes here as in the
        rows: prefix, protocol, near_addr, far_addr and flows. Suspect links are none.
        """
        return (
            "(SELECT prefix, protocol, near_addr, far_addr, flows FROM (SELECT * FROM "
            f"{self.judge()} WHERE NOT is_suspect AND {condition}) AS links "
            f"INNER JOIN {self._targets} AS targets USING (prefix_index))"
        )

    def tell_aliases(self, routers: str) -> str:
        """Return the SELECT of what alias resolution says of pairs of addresses.

        A row has the first trace that says so, and how many do.
        """
        pairs = (
            "SELECT first_addr, second_addr, verdict, test, min(found.round) AS round, "
            "count() AS traces, min((found.prefix_index, found.ttl)) AS example, "
            "example.1 AS prefix_index, example.2 AS ttl "
            f"FROM ({read_aliases(self.compared)}) AS found "
            "GROUP BY first_addr, second_addr, verdict, test"
        )
        first, second = (
            as_text(f"told.{name}") for name in ("first_addr", "second_addr")
        )
        router = as_text("told.router_addr")
        is_one = "told.router_addr != toFixedString('', 16)"
        return (
            f"SELECT '{self.keys.agent}' AS agent, {first} AS first_addr, "
            f"{second} AS second_addr, verdict, test, round, traces, prefix, ttl, "
            f"if({is_one}, {router}, '') AS router_addr, is_in_conflict "
            f"FROM ({place_pairs(f'({pairs})', routers)}) AS told "
            f"INNER JOIN {self._targets} AS targets USING (prefix_index)"
        )

    def link_routers(self, routers: str) -> str:
        """Return the SELECT of distinct links between routers."""
        named = name_routers(f"(SELECT * FROM {self.judge()})", routers)
        return (
            f"SELECT '{self.keys.agent}' AS agent, "
            f"{as_text('near_router')} AS near_router, "
            f"{as_text('far_router')} AS far_router, "
            "uniqExact(near_addr, far_addr) AS links, "
            "uniqExact(prefix_index) AS prefixes, sum(flows) AS flows "
            f"FROM ({named}) AS named WHERE NOT is_suspect "
            "AND named.near_router != named.far_router "
            "GROUP BY named.near_router, named.far_router"
        )

    @property
    def diamonds(self) -> str:
        """Diamonds, once they are found and stored."""
        more = ("becomes", "router_diamonds", "router_max_length", "router_max_width")
        return self._tell_diamonds(self.kept.diamonds_root, "addr", more)

    @property
    def router_diamonds(self) -> str:
        """Diamonds between routers, once they are found and stored."""
        return self._tell_diamonds(self.kept.router_diamonds_root, "router")

    def _tell_diamonds(self, root: str, kind: str, more: tuple[str, ...] = ()) -> str:
        """Return the SELECT of the diamonds in a folder.

        ``kind`` ends the names of the columns of both points.
        """
        ends = ", ".join(
            f"{end}_ttl, {as_text(f'found.{end}_addr')} AS {end}_{kind}"
            for end in ("divergence", "convergence")
        )
        rows = self.diamond_store.read_sql(f"{root}/*.parquet")
        found = fill(self.engine, rows, "diamonds")
        metrics = ("max_length", "max_width", "width_asymmetry", "meshed_ratio")
        columns = ", ".join((*metrics, "probability_difference", *more))
        return (
            f"SELECT '{self.keys.agent}' AS agent, prefix, protocol, {ends}, {columns} "
            f"FROM {found} AS found "
            f"INNER JOIN {self._targets} AS targets USING (prefix_index)"
        )
