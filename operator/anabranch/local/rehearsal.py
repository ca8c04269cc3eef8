"""A rehearsal of a survey in process: the same rule and network, without packets.

It predicts what a survey of a simulated Internet finds. The prediction is exact where
nothing is left to chance. Otherwise, rehearsals with many seeds of the flow mapper tell
how much a survey finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anabranch.rounds.evidence import LATE, Crossings, Scope
from anabranch.rounds.mixing import mix
from anabranch.rounds.planning import ask_flows, ask_window
from anabranch.rounds.refining import ask_parts
from anabranch.rounds.sent import Sent
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step
from anabranch.rounds.tools import face_of

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Plan, Simulation
    from numpy.typing import NDArray

    from anabranch.rounds.outcome import Rules

    Columns = dict[str, NDArray[np.uint64]]
    Links = set[tuple[int, int]]

_MIX = [np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)]


def rehearse(
    simulation: Simulation,
    vantage_point: int,
    targets: Plan,
    rules: Rules,
    scratch: Path,
) -> tuple[Links, int]:
    """Return the links that a run finds, and the number of probes that it needs.

    A link is a pair of address hashes as ``time_exceeded`` gives them. ``targets``
    is the plan of all targets, in one block.
    """
    prefixes = pq.read_table(targets.path).sort_by("prefix_index")
    face = face_of(rules.tool)
    heard: list[Columns] = []
    known: list[int] = []
    every: list[pa.Table] = []
    step: Step | None = FIRST
    demands = face.ask_first(prefixes, (rules.min_ttl, rules.max_ttl))
    probes = sent = 0
    while step:
        plan = targets.ask(scratch / f"{step}.parquet", [demands])
        if not face.is_worth(plan.units, sent, known):
            break
        sent = plan.units
        probes += sent
        replies = pa.table(simulation.time_exceeded(vantage_point, plan))
        plan.path.unlink()
        columns = {name: _numbers(replies, name) for name in replies.column_names}
        columns["round"] = np.full(len(replies), step.round, dtype=np.uint64)
        heard.append(columns)
        every.append(demands)
        if face.scope is Scope.SURVEY:
            known.append(len(_distinguish(heard)))
        step, demands = _plan_next(step, heard, every, prefixes, rules)
    return _distinguish(heard), probes


def _distinguish(heard: list[Columns]) -> Links:
    near, far = (end["address"] for end in _find_links(heard))
    return set(zip(near.tolist(), far.tolist(), strict=True))


def _plan_next(
    step: Step,
    heard: list[Columns],
    every: list[pa.Table],
    prefixes: pa.Table,
    rules: Rules,
) -> tuple[Step | None, pa.Table]:
    face, bounds = face_of(rules.tool), (rules.min_ttl, rules.max_ttl)
    for candidate in face.next_steps(step, rules.max_rounds):
        if candidate.round == 1:
            before = Step(1, candidate.window - 1)
            late = heard[-1]["ttl"] >= before.last_window_ttl - WINDOW_STARS
            goes_on = candidate.window == step.window + 1
            index = np.unique(heard[-1]["prefix_index"][late & goes_on])
            continuing = pa.table({"prefix_index": index})
            demands = ask_window(prefixes, continuing, candidate, bounds)
        elif face.scope:
            sent = Sent.of(_count_sent(every), prefixes, bounds)
            crossings = Crossings.of(_count_crossings(heard, face.scope), sent)
            share = rules.failure_probability
            parts = [lambda: (crossings, sent)]  # noqa: B023 (used at once)
            (demands,) = ask_parts(parts, candidate, face.scope, share)
        else:
            counts = _count_links(heard, prefixes, candidate.round - 1)
            demands = ask_flows(counts, rules.failure_probability)
        if demands.num_rows:
            return candidate, demands
    return None, prefixes


def _count_sent(every: list[pa.Table]) -> pa.Table:
    """Count the flows that demands sent to each prefix at each TTL."""
    asked = pa.concat_tables(every)
    columns = {
        name: _numbers(asked, name).astype(np.int64) for name in asked.column_names
    }
    lengths = columns["max_ttl"] - columns["min_ttl"] + 1
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = pa.table(
        {
            "prefix_index": np.repeat(columns["prefix_index"], lengths),
            "ttl": np.repeat(columns["min_ttl"], lengths) + within,
            "flows": np.repeat(columns["first_flow"] + columns["flow_count"], lengths),
        }
    )
    most = rows.group_by(["prefix_index", "ttl"]).aggregate([("flows", "max")])
    return most.rename_columns(["prefix_index", "ttl", "flows"])


def _count_crossings(heard: list[Columns], scope: Scope) -> pa.Table:
    """Count what ``find_crossings`` counts in SQL."""
    every = _join(heard)
    near, far = _find_links(heard)
    apart = scope is Scope.PREFIX
    salts, of_near = (
        mix(each["prefix_index"] if apart else np.zeros_like(each["flow"]))
        for each in (every, near)
    )
    at = ["prefix_index", "ttl", "near"]
    interface = {
        "prefix_index": every["prefix_index"],
        "ttl": every["ttl"],
        "near": mix(every["address"] ^ salts),
        "late": (every["flow"] >= LATE).astype(np.uint32),
    }
    known = (
        pa.table(interface).group_by(at).aggregate([("late", "sum"), ("late", "count")])
    )
    known = known.rename_columns([*at, "late", "heard"])
    ends = [mix(end["address"] ^ of_near) for end in (near, far)]
    crossed = pa.table(
        {
            "prefix_index": near["prefix_index"],
            "ttl": near["ttl"],
            "near": ends[0],
            "far": ends[1],
            "link": mix(ends[0] * _MIX[0] ^ ends[1]),
        }
    )
    crossed = crossed.group_by([*at, "far", "link"]).aggregate([([], "count_all")])
    crossed = crossed.rename_columns([*at, "far", "link", "flows"])
    rows = known.join(crossed, at).sort_by([(name, "ascending") for name in at])
    silent = pc.is_null(rows.column("link"))
    filled = {
        "far": pa.scalar(0, pa.uint64()),
        "link": mix(_numbers(rows, "near")),
        "flows": rows.column("heard"),
    }
    for name, instead in filled.items():
        column = pc.if_else(silent, instead, rows.column(name))
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def _join(heard: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in heard]) for name in heard[0]}


def _find_links(heard: list[Columns]) -> tuple[Columns, Columns]:
    """Return the near and the far replies of each link of each flow."""
    every = _join(heard)
    hop = every["prefix_index"] << np.uint64(39) | every["flow"] << np.uint64(8)
    hop |= every["ttl"]
    order = np.argsort(hop)
    hop, address = hop[order], every["address"][order]
    is_link = (hop[1:] == hop[:-1] + np.uint64(1)) & (address[1:] != address[:-1])
    near, far = order[:-1][is_link], order[1:][is_link]
    ends = [
        {name: column[end] for name, column in every.items()} for end in (near, far)
    ]
    return ends[0], ends[1]


def _count_links(heard: list[Columns], prefixes: pa.Table, round_: int) -> pa.Table:
    near, far = _find_links(heard)
    same = near["round"] == far["round"]
    near, far = ({name: end[name][same] for name in end} for end in (near, far))
    hop = near["prefix_index"] << np.uint64(8) | near["ttl"]
    # A 64-bit hash of hop, near address and far address identifies a link.
    link = (hop * _MIX[0] ^ near["address"]) * _MIX[1] ^ far["address"] * _MIX[0]
    _, first = np.unique(link, return_index=True)
    earlier = np.unique(link[near["round"] < round_], return_index=True)[1]
    hops, links = np.unique(hop[first], return_counts=True)
    before = hop[near["round"] < round_][earlier]
    known, counts = np.unique(before, return_counts=True)
    earlier_links = np.zeros(len(hops), dtype=np.uint64)
    earlier_links[np.searchsorted(hops, known)] = counts
    index = hops >> np.uint64(8)
    asked = _numbers(prefixes, "prefix_index")
    flows = _numbers(prefixes, "flow_count")[np.searchsorted(asked, index)]
    return pa.table(
        {
            "prefix_index": index,
            "ttl": hops & np.uint64(255),
            "flow_count": flows,
            "links": links,
            "earlier_links": earlier_links,
        }
    )


def _numbers(table: pa.Table, name: str) -> NDArray[np.uint64]:
    numbers: NDArray[np.uint64] = table.column(name).to_numpy().astype(np.uint64)
    return numbers
