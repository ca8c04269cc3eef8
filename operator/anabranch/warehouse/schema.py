"""The tables and views of a ClickHouse server, as the statements that create them.

Rows are loaded more than once if a job runs again. So each table is a
ReplacingMergeTree with a key that distinguishes all rows that differ, and views read
it with FINAL. Then it does not matter how often and in which order rows are loaded. A
run is a partition, which one statement removes.

Statements that create things wait for all servers of a cluster. To avoid running them
again, the view that is created last carries a mark as its comment.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from anabranch.store.keys import RunKeys
from anabranch.warehouse.queries import PRIVATE, mark_suspects

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from anabranch.store.keys import SurveyKeys

_NAME, _NUMBER, _SMALL, _ADDRESS = "LowCardinality(String)", "UInt32", "UInt8", "IPv6"
_SURVEY = {"measurement": _NAME, "run_id": _NAME}
_RUN = _SURVEY | {"agent": _NAME}
_TARGET = {"protocol": _SMALL, "prefix": _ADDRESS}
_STEP = {"round": _SMALL, "window": _SMALL}
_LABELS = "Array(Tuple(label UInt32, exp UInt8, bos UInt8, ttl UInt8))"


@dataclass(frozen=True)
class Table:
    """A table: the types of its columns, and which of them tell rows apart."""

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    shard: tuple[str, ...] = (*_RUN, "prefix_index")
    """The columns of which those rows have the same that a cluster must keep on one
    server."""
    version: str = ""
    """The column that selects the row to keep among equal rows: the highest value."""


PLANS = Table(
    "plans",
    _RUN
    | _TARGET
    | {"prefix_len": _SMALL, "prefix_index": _NUMBER}
    | _STEP
    | {"min_ttl": _SMALL, "max_ttl": _SMALL}
    | {"first_flow": _NUMBER, "flow_count": _NUMBER},
    (*_RUN, *_TARGET, *_STEP, "min_ttl", "first_flow"),
)
REPLIES = Table(
    "replies",
    _RUN
    | _TARGET
    | {"prefix_index": _NUMBER, "flow": _NUMBER, "is_counted": _SMALL}
    | {"capture_timestamp": "DateTime('UTC')", "probe_protocol": _SMALL}
    | dict.fromkeys(("probe_src_addr", "probe_dst_addr"), _ADDRESS)
    | dict.fromkeys(("probe_src_port", "probe_dst_port"), "UInt16")
    | {"probe_ttl": _SMALL, "quoted_ttl": _SMALL, "reply_src_addr": _ADDRESS}
    | dict.fromkeys(("reply_protocol", "reply_icmp_type", "reply_icmp_code"), _SMALL)
    | {"reply_ttl": _SMALL, "reply_size": "UInt16", "reply_mpls_labels": _LABELS}
    | {"rtt": "UInt16", "round": _SMALL, "capture_time_us": "UInt64"}
    | {"rtt_us": _NUMBER, "reply_id": "UInt16"}
    | {"reply_tos": _SMALL, "quoted_tos": _SMALL, "quoted_length": "UInt16"}
    | {"destination_prefix_reply": _SMALL}
    | {"rewritten": _SMALL, "interface": _NAME, "gateway": _ADDRESS}
    | {"attempt": _SMALL},
    (
        *(*_RUN, *_TARGET, "flow", "probe_ttl", "round"),
        *("capture_time_us", "reply_src_addr", "reply_id"),
    ),
)
PREFIXES = Table(
    "prefixes",
    _RUN
    | _TARGET
    | {"prefix_len": _SMALL, "prefix_index": _NUMBER, "probe_src_addr": _ADDRESS}
    | _STEP
    | {"replies": "UInt64", "has_amplification": _SMALL, "has_loops": _SMALL}
    | {"repeats": _NUMBER}
    | dict.fromkeys(("changed_after", "changed_before"), "UInt64")
    | {"between_steps": _SMALL},
    (*_RUN, *_TARGET, *_STEP),
)
LINKS = Table(
    "links",
    _RUN
    | _TARGET
    | {"prefix_len": _SMALL, "prefix_index": _NUMBER, "near_ttl": _SMALL}
    | {"near_round": _SMALL, "far_round": _SMALL}
    | {"near_addr": _ADDRESS, "far_addr": _ADDRESS, "flows": _NUMBER}
    | dict.fromkeys(("first_end", "last_start"), "UInt64")
    | {"is_unlikely": _SMALL}
    | {"has_amplification": _SMALL},
    (
        *(*_RUN, *_TARGET, "near_ttl", "near_addr", "far_addr"),
        *("near_round", "far_round"),
    ),
    # That a prefix has amplification is known once a later step has seen it.
    version="has_amplification",
)
DIAMONDS = Table(
    "diamonds",
    _RUN
    | _TARGET
    | {"prefix_len": _SMALL, "prefix_index": _NUMBER}
    | {"divergence_ttl": _SMALL, "divergence_addr": _ADDRESS}
    | {"convergence_ttl": _SMALL, "convergence_addr": _ADDRESS}
    | {"max_length": _SMALL, "max_width": _NUMBER}
    | {"width_asymmetry": f"Nullable({_NUMBER})"}
    | dict.fromkeys(("meshed_ratio", "probability_difference"), "Nullable(Float64)")
    | {"becomes": "Nullable(String)", "router_diamonds": f"Nullable({_NUMBER})"}
    | {"router_max_length": "Nullable(UInt8)"}
    | {"router_max_width": f"Nullable({_NUMBER})"},
    (*_RUN, *_TARGET, "divergence_ttl"),
)
TRACES = Table(
    "traces",
    _RUN
    | _TARGET
    | {"prefix_len": _SMALL, "prefix_index": _NUMBER, "destination": _ADDRESS}
    | {"algorithm": _NAME, "end_reason": _NAME, "switch": _NAME, "switch_ttl": _SMALL}
    | {"failure_probability": "Nullable(Float64)", "unsteady_ttls": "Array(UInt8)"}
    | {"gone_ttls": "Array(UInt8)"}
    | {"probes": _NUMBER, "began_us": "UInt64", "ended_us": "UInt64"},
    (*_RUN, *_TARGET),
)
ROUTERS = Table(
    "routers",
    _SURVEY
    | {"router_addr": _ADDRESS, "addr": _ADDRESS}
    | {"addresses": "UInt64", "is_in_conflict": _SMALL},
    (*_SURVEY, "addr"),
    (*_SURVEY, "addr"),
)
ROUTER_LINKS = Table(
    "router_links",
    _RUN
    | {"near_router": _ADDRESS, "far_router": _ADDRESS}
    | dict.fromkeys(("links", "prefixes", "flows"), "UInt64"),
    (*_RUN, "near_router", "far_router"),
    (*_RUN, "near_router"),
)
ROUTER_DIAMONDS = Table(
    "router_diamonds",
    _RUN
    | _TARGET
    | {"prefix_len": _SMALL}
    | {"divergence_ttl": _SMALL, "divergence_router": _ADDRESS}
    | {"convergence_ttl": _SMALL, "convergence_router": _ADDRESS}
    | {"max_length": _SMALL, "max_width": _NUMBER}
    | {"width_asymmetry": f"Nullable({_NUMBER})"}
    | dict.fromkeys(("meshed_ratio", "probability_difference"), "Nullable(Float64)"),
    (*_RUN, *_TARGET, "divergence_ttl"),
    (*_RUN, "prefix"),
)
OF_ROUTERS = (ROUTERS, ROUTER_LINKS, ROUTER_DIAMONDS)
"""The tables of what alias resolution found, which a survey has once it is over."""
TABLES = (PLANS, REPLIES, PREFIXES, LINKS, DIAMONDS, TRACES, *OF_ROUTERS)


@dataclass(frozen=True)
class Script:
    """Statements that create tables and views; the last one creates a view.

    They may run several times, and by two processes at once.
    """

    steps: tuple[str, ...]
    view: str
    """The name of the view that the last statement creates."""

    @property
    def mark(self) -> str:
        """A digest of the statements, which the view's comment carries."""
        return sha256("\n".join(self.steps).encode()).hexdigest()[:16]

    @property
    def statements(self) -> tuple[str, ...]:
        """All statements, in order."""
        *before, last = self.steps
        return (*before, f"{last} COMMENT {text(self.mark)}")


@dataclass(frozen=True)
class Schema:
    """Where the tables are: a database, on one server or on those of a cluster.

    In a cluster, tables ``local_…`` are replicated on each shard, and ``raw_…`` are
    distributed over all shards. Equal rows are on one shard, so that FINAL finds them.
    """

    database: str
    cluster: str = ""

    def name(self, table: Table) -> str:
        """Return the SQL name of the table into which rows are loaded."""
        return self._qualify(f"raw_{table.name}")

    def make(self) -> Script:
        """Return the script for what all runs share, with this version's columns."""
        name = f"{_quote(self.database)}{self._everywhere}"
        tables = (each for table in TABLES for each in self._make_table(table))
        steps = (f"CREATE DATABASE IF NOT EXISTS {name}", *tables)
        return self._end_with(self._views(), *steps)

    def make_views(self, keys: RunKeys) -> Script:
        """Return the script for a run's views, which diamond-miner's queries read."""
        run = name_run(keys)
        views = self._diamond_miner(keys)
        return self._end_with({f"{kind}__{run}": views[kind] for kind in views})

    def ask_marks(self, *scripts: Script) -> str:
        """Return the query for ``name`` and ``mark`` of the views of some scripts."""
        names = ", ".join(text(script.view) for script in scripts)
        return (
            "SELECT name, comment AS mark FROM system.tables "
            f"WHERE database = {text(self.database)} AND name IN ({names})"
        )

    def ask_names(self) -> str:
        """Return the query for the ``name`` of each table and view that is there."""
        return f"SELECT name FROM system.tables WHERE database = {text(self.database)}"

    def drop(
        self, keys: SurveyKeys, agents: Iterable[str], there: Container[str]
    ) -> Iterator[str]:
        """Yield the statements that remove a run, where its tables and views are."""
        run = f"({text(keys.measurement)}, {text(keys.run_id)})"
        for table in TABLES:
            name = f"{'local' if self.cluster else 'raw'}_{table.name}"
            if name in there:
                # Servers refuse to drop what is large unless they are told to.
                yield (
                    f"ALTER TABLE {self._qualify(name)}{self._everywhere} "
                    f"DROP PARTITION {run} SETTINGS max_partition_size_to_drop = 0"
                )
        for agent in agents:
            run_of = RunKeys(keys.measurement, keys.run_id, agent)
            for kind in self._diamond_miner(run_of):
                name = f"{kind}__{name_run(run_of)}"
                if name in there:
                    yield f"DROP VIEW IF EXISTS {self._qualify(name)}{self._everywhere}"

    @property
    def _everywhere(self) -> str:
        return f" ON CLUSTER {_quote(self.cluster)}" if self.cluster else ""

    def _qualify(self, name: str) -> str:
        return f"{_quote(self.database)}.{_quote(name)}"

    def _make_table(self, table: Table) -> Iterator[str]:
        columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
        # A later version has more columns.
        added = ", ".join(
            f"ADD COLUMN IF NOT EXISTS {name} {kind}"
            for name, kind in table.columns.items()
        )
        engine = f"ReplacingMergeTree({table.version})"
        name = self.name(table)
        if self.cluster:
            local = f"local_{table.name}"
            words = [self.cluster, self.database, local]
            shard = f"cityHash64({', '.join(table.shard)})"
            yield from self._make_merge_tree(
                self._qualify(local), columns, added, f"Replicated{engine}", table.key
            )
            yield (
                f"CREATE TABLE IF NOT EXISTS {name}{self._everywhere} ({columns}) "
                f"ENGINE = Distributed({', '.join(map(_quote, words))}, {shard})"
            )
            yield f"ALTER TABLE {name}{self._everywhere} {added}"
        else:
            yield from self._make_merge_tree(name, columns, added, engine, table.key)

    def _make_merge_tree(
        self, name: str, columns: str, added: str, engine: str, key: tuple[str, ...]
    ) -> Iterator[str]:
        yield (
            f"CREATE TABLE IF NOT EXISTS {name}{self._everywhere} ({columns}) "
            f"ENGINE = {engine} PARTITION BY (measurement, run_id) "
            f"ORDER BY ({', '.join(key)})"
        )
        yield f"ALTER TABLE {name}{self._everywhere} {added}"

    def _end_with(self, views: Mapping[str, str], *before: str) -> Script:
        made = [self._make_view(name, query) for name, query in views.items()]
        return Script((*before, *made), view=[*views][-1])

    def _make_view(self, name: str, query: str) -> str:
        view = self._qualify(name)
        return f"CREATE OR REPLACE VIEW {view}{self._everywhere} AS {query}"

    def _views(self) -> dict[str, str]:
        """Return the queries of the views that people read, by name."""
        plans, replies, prefixes, links, diamonds, traces, *of_routers = (
            f"{self.name(table)} AS raw FINAL" for table in TABLES
        )
        run = ", ".join(_RUN)
        target = f"{run}, protocol, prefix, prefix_len, prefix_index"
        return {
            "plans": f"SELECT * FROM {plans}",
            "replies": f"SELECT * FROM {replies}",
            "prefixes": (
                f"SELECT {target}, sum(raw.replies) AS replies, "
                "max(raw.has_amplification) AS has_amplification, "
                f"max(raw.has_loops) AS has_loops FROM {prefixes} GROUP BY {target}"
            ),
            "interfaces": (
                f"SELECT {run}, reply_src_addr AS addr, min(probe_ttl) AS min_ttl, "
                "max(probe_ttl) AS max_ttl, count() AS replies, "
                f"uniqExact(protocol, prefix) AS prefixes FROM {replies} "
                f"WHERE is_counted GROUP BY {run}, reply_src_addr"
            ),
            "links": mark_suspects(
                f"SELECT * EXCEPT has_amplification FROM {links} "
                "WHERE NOT has_amplification",
                prefixes,
                f"{run}, protocol, prefix",
            ),
            "traces": f"SELECT * FROM {traces}",
            **{
                table.name: f"SELECT * FROM {rows}"
                for table, rows in zip(OF_ROUTERS, of_routers, strict=True)
            },
            "diamonds": f"SELECT * FROM {diamonds}",
        }

    def _diamond_miner(self, keys: RunKeys) -> dict[str, str]:
        """Return the queries with diamond-miner's column names and types, by kind."""
        where = (
            f"WHERE measurement = {text(keys.measurement)} "
            f"AND run_id = {text(keys.run_id)} AND agent = {text(keys.agent)}"
        )
        unknown = "toIPv6('::')"
        return {
            "results": (
                "SELECT capture_timestamp, probe_protocol, probe_src_addr, "
                "probe_dst_addr, probe_src_port, probe_dst_port, probe_ttl, "
                "quoted_ttl, reply_src_addr, reply_protocol, reply_icmp_type, "
                "reply_icmp_code, reply_ttl, reply_size, CAST(reply_mpls_labels AS "
                "Array(Tuple(UInt32, UInt8, UInt8, UInt8))) AS reply_mpls_labels, rtt, "
                "round, prefix AS probe_dst_prefix, "
                "toIPv6(cutIPv6(reply_src_addr, 8, 1)) AS reply_src_prefix, "
                f"{_is_private('prefix')} AS private_probe_dst_prefix, "
                f"{_is_private('reply_src_addr')} AS private_reply_src_addr, "
                "probe_dst_addr = reply_src_addr AS destination_host_reply, "
                "destination_prefix_reply, "
                "probe_protocol IN (1, 6, 17, 58) AS valid_probe_protocol, "
                "(reply_protocol, reply_icmp_type) IN ((1, 11), (58, 3)) "
                f"AS time_exceeded_reply FROM {self._qualify('replies')} {where}"
            ),
            "links": (
                f"SELECT protocol AS probe_protocol, {unknown} AS probe_src_addr, "
                "prefix AS probe_dst_prefix, prefix AS probe_dst_addr, "
                "toUInt16(0) AS probe_src_port, toUInt16(0) AS probe_dst_port, "
                "near_round, far_round, near_ttl, toUInt8(near_ttl + 1) AS far_ttl, "
                "near_addr, far_addr, toUInt8(0) AS is_destination, "
                "near_round != far_round AS is_inter_round, toUInt8(0) AS is_partial, "
                f"toUInt8(0) AS is_virtual FROM {self._qualify('links')} {where}"
            ),
            "prefixes": (
                "SELECT protocol AS probe_protocol, probe_src_addr, "
                "prefix AS probe_dst_prefix, max(raw.has_amplification) AS "
                "has_amplification, max(raw.has_loops) AS has_loops "
                f"FROM {self.name(PREFIXES)} AS raw FINAL {where} "
                "GROUP BY protocol, probe_src_addr, prefix"
            ),
            # Of each round all that was sent so far, as diamond-miner has it; a plan
            # has only what is new.
            "probes": (
                "SELECT protocol AS probe_protocol, prefix AS probe_dst_prefix, "
                "ttl AS probe_ttl, toUInt32(arrayMax(arrayMap(ask -> "
                "if(ask.1 <= number, ask.2, 0), asks))) AS cumulative_probes, "
                "toUInt8(number) AS round FROM (SELECT protocol, prefix, ttl, "
                "groupArray((plan.round, first_flow + flow_count)) AS asks, "
                "min(plan.round) AS first "
                f"FROM (SELECT * FROM {self._qualify('plans')} {where}) AS plan "
                "ARRAY JOIN range(toUInt16(min_ttl), toUInt16(max_ttl) + 1) AS ttl "
                "GROUP BY protocol, prefix, ttl) ARRAY JOIN range(toUInt16(first), "
                f"(SELECT toUInt16(max(round)) + 1 FROM {self._qualify('plans')} "
                f"{where})) AS number"
            ),
        }


def name_run(keys: RunKeys) -> str:
    """Return the suffix of the names of a run's views, which follows their kind.

    diamond-miner appends its ``measurement_id`` in this way. Dots of an agent's name
    are replaced, since a table's name can't have any.
    """
    words = (keys.measurement, keys.run_id, keys.agent)
    return "__".join(words).replace("-", "_").replace(".", "__")


def text(value: str) -> str:
    """Return a text as an SQL literal."""
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


def _quote(name: str) -> str:
    return f"`{name}`"


def _is_private(column: str) -> str:
    """Return the SQL for whether an address is private by diamond-miner's ranges."""
    ranges = [
        tuple(f"::ffff:{IPv4Address(int(end, 16))}" for end in ends) for ends in PRIVATE
    ]
    ranges.append(("fd00::", f"fdff{':ffff' * 7}"))
    return "({})".format(
        " OR ".join(
            f"{column} BETWEEN toIPv6('{first}') AND toIPv6('{last}')"
            for first, last in ranges
        )
    )
