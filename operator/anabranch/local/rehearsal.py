"""A rehearsal of a survey in process: the same rule and network, without packets.

It predicts what a survey of a simulated Internet finds. The prediction is exact where
nothing is left to chance. Otherwise, rehearsals with many seeds of the flow mapper tell
how much a survey finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.local.tally import (
    count_crossings,
    count_interfaces,
    count_links,
    count_sent,
    find_links,
    read_numbers,
)
from anabranch.rounds.crossings import Crossings
from anabranch.rounds.evidence import Scope
from anabranch.rounds.planning import ask_flows, ask_window
from anabranch.rounds.refining import ask_parts, estimate_missing
from anabranch.rounds.sent import Sent
from anabranch.rounds.steps import FIRST, WINDOW_STARS, Step
from anabranch.rounds.tools import face_of

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Plan, PrefixSet, Simulation

    from anabranch.local.tally import Columns
    from anabranch.rounds.outcome import Rules
    from anabranch.rounds.refining import Part

    Links = set[tuple[int, int]]


@dataclass(frozen=True)
class Rehearsal:
    """What a run would do and find."""

    links: Links
    """Pairs of address hashes, as ``time_exceeded`` gives them."""
    probes: int
    """The probes sent, without those that replies ask for at once."""
    steps: int
    missing_links: float | None
    """As in ``Outcome``."""


def rehearse(
    simulation: Simulation,
    vantage_point: int,
    targets: Plan,
    rules: Rules,
    scratch: Path,
) -> Rehearsal:
    """Return what a run does and finds.

    ``targets`` is the plan of all targets, in one block.
    """
    prefixes = pq.read_table(targets.path).sort_by("prefix_index")
    face = face_of(rules.tool)
    heard: list[Columns] = []
    known: list[int] = []
    every: list[pa.Table] = []
    step: Step | None = FIRST
    demands = face.ask_first(prefixes, (rules.min_ttl, rules.max_ttl))
    sent: list[int] = []
    while step:
        plan = targets.ask(scratch / f"{step}.parquet", [demands])
        if not face.is_worth(plan.units, sent, known):
            break
        sent.append(plan.units)
        replies = pa.table(simulation.time_exceeded(vantage_point, plan))
        plan.path.unlink()
        columns = {name: read_numbers(replies, name) for name in replies.column_names}
        columns["round"] = np.full(len(replies), step.round, dtype=np.uint64)
        heard.append(columns)
        every.append(demands)
        if face.scope is Scope.SURVEY:
            known.append(len(_distinguish(heard)))
        step, demands = _plan_next(step, heard, every, prefixes, rules)
    missing = None
    if face.scope is Scope.SURVEY:
        part = _weigh(heard, every, prefixes, rules, face.scope)
        missing = estimate_missing([part], Step(len(sent)))
    return Rehearsal(_distinguish(heard), sum(sent), len(sent), missing)


def rehearse_traces(
    simulation: Simulation, vantage_point: int, targets: Plan, forbidden: PrefixSet
) -> Rehearsal:
    """Return what a run that traces its targets does and finds.

    No trace draws an address that is forbidden. The probes of alias resolution are
    left out.
    """
    links, probes = simulation.trace_plan(vantage_point, targets, forbidden)
    return Rehearsal(links, probes, steps=1, missing_links=None)


def _distinguish(heard: list[Columns]) -> Links:
    near, far = (end["address"] for end in find_links(heard))
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
            part = _weigh(heard, every, prefixes, rules, face.scope)
            share = rules.failure_probability
            (demands,) = ask_parts([part], candidate, face.scope, share)
        else:
            counts = count_links(heard, prefixes, candidate.round - 1)
            demands = ask_flows(counts, rules.failure_probability)
        if demands.num_rows:
            return candidate, demands
    return None, prefixes


def _weigh(
    heard: list[Columns],
    every: list[pa.Table],
    prefixes: pa.Table,
    rules: Rules,
    scope: Scope,
) -> Part:
    """Return what flows have shown so far."""
    sent = Sent.of(count_sent(every), prefixes, (rules.min_ttl, rules.max_ttl))
    interfaces, crossed = count_interfaces(heard, scope), count_crossings(heard, scope)
    crossings = Crossings.of(interfaces, crossed, sent)
    return lambda: (crossings, sent)
