"""The score of alias resolution: how many aliases of a simulated Internet it finds."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anabranch.local.score import Score

if TYPE_CHECKING:
    from anabranch_engine import Simulation

    from anabranch.warehouse.survey import Survey

Pairs = set[frozenset[str]]
"""Pairs of addresses."""


def judge_aliases(simulation: Simulation, survey: Survey) -> Score:
    """Score the accepted pairs of a survey's aliases.

    Recall refers to all pairs of interfaces that the survey has found and that are of
    one router.

    Raises:
        LookupError: If there are no results.
    """
    aliases = survey.aliases
    accepted = aliases.filter(pc.equal(aliases["verdict"], pa.scalar("accept")))
    ends = (accepted[f"{end}_addr"].to_pylist() for end in ("first", "second"))
    found = set(map(frozenset, zip(*ends, strict=True)))
    met = set(map(str, survey.interfaces["addr"].to_pylist()))
    known = _pair_aliases(simulation, met)
    return Score(len(found), len(found & known), len(known), len(found & known))


def _pair_aliases(simulation: Simulation, met: set[str]) -> Pairs:
    """Return all pairs of some addresses that are of one router."""
    with tempfile.TemporaryDirectory() as folder:
        simulation.write_truth(Path(folder))
        truth = pq.read_table(Path(folder, "interfaces.parquet"))
    routers = defaultdict(list)
    columns = (truth[name].to_pylist() for name in ("router", "address"))
    for router, address in zip(*columns, strict=True):
        if address in met:
            routers[router].append(address)
    return {
        frozenset(pair) for group in routers.values() for pair in combinations(group, 2)
    }
