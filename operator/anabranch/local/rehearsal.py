"""A rehearsal of a survey in process: the same rule and network, without packets.

It predicts what a survey of a simulated Internet finds. The prediction is exact where
nothing is left to chance. Otherwise, rehearsals with many seeds of the flow mapper tell
how much a survey finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.rounds.planning import ask_flows, ask_window
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

    Probes that replies ask for at once are not counted. A link is a pair of address
    hashes as ``time_exceeded`` gives them. ``targets`` is the plan of all targets, in
    one block.
    """
    prefixes = pq.read_table(targets.path).sort_by("prefix_index")
    heard: list[Columns] = []
    step: Step | None = FIRST
    bounds = (rules.min_ttl, rules.max_ttl)
    demands = face_of(rules.tool).ask_first(prefixes, bounds)
    probes = 0
    while step:
        plan = targets.ask(scratch / f"{step}.parquet", [demands])
        probes += plan.units
        replies = pa.table(simulation.time_exceeded(vantage_point, plan))
        plan.path.unlink()
        columns = {name: _numbers(replies, name) for name in replies.column_names}
        columns["round"] = np.full(len(replies), step.round, dtype=np.uint64)
        heard.append(columns)
        step, demands = _plan_next(step, heard, prefixes, rules)
    near, far = (end["address"] for end in _find_links(heard))
    return set(zip(near.tolist(), far.tolist(), strict=True)), probes


def _plan_next(
    step: Step, heard: list[Columns], prefixes: pa.Table, rules: Rules
) -> tuple[Step | None, pa.Table]:
    for candidate in face_of(rules.tool).next_steps(step, rules.max_rounds):
        if candidate.round == 1:
            before = Step(1, candidate.window - 1)
            late = heard[-1]["ttl"] >= before.last_window_ttl - WINDOW_STARS
            goes_on = candidate.window == step.window + 1
            index = np.unique(heard[-1]["prefix_index"][late & goes_on])
            continuing = pa.table({"prefix_index": index})
            bounds = (rules.min_ttl, rules.max_ttl)
            demands = ask_window(prefixes, continuing, candidate, bounds)
        else:
            counts = _count_links(heard, prefixes, candidate.round - 1)
            demands = ask_flows(counts, rules.failure_probability)
        if demands.num_rows:
            return candidate, demands
    return None, prefixes


def _find_links(heard: list[Columns]) -> tuple[Columns, Columns]:
    """Return the near and the far replies of each link of each flow."""
    names = heard[0]
    every = {name: np.concatenate([part[name] for part in heard]) for name in names}
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
