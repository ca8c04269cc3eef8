"""Compute what a round asks for by the rules full and shared.

Prefixes come in *parts* that fit into memory. Each is read once for each thing that all
parts decide together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from anabranch.rounds.crossings import Crossings
from anabranch.rounds.evidence import (
    Balancers,
    Evidence,
    Scope,
    Sharing,
    want_at_vertices,
    want_flows,
)
from anabranch.rounds.sent import Sent
from anabranch.rounds.sweeping import (
    SWEEP,
    find_first_ttl,
    find_last_ttls,
    sweep,
    sweep_on,
)
from anabranch.rounds.unseen import estimate_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from anabranch.rounds.steps import Step

Part = Callable[[], tuple[Crossings, Sent]]
"""Reads a part: what its prefixes' flows crossed, and what was sent to them."""


def ask_parts(
    parts: Sequence[Part], step: Step, scope: Scope, failure_probability: float
) -> Iterator[pa.Table]:
    """Yield the demands of a step for each part; see ``planning`` for their columns."""
    if scope is Scope.PREFIX:
        for part in parts:
            yield from _ask_round([part], step, failure_probability, sweeps=False)
    elif step.round == SWEEP:
        yield from _ask_sweep(parts)
    else:
        yield from _ask_round(parts, step, failure_probability, sweeps=True)


def estimate_missing(parts: Sequence[Part], step: Step) -> float | None:
    """Return the links that balancers are expected to have beyond those found.

    ``step`` is the last one that was probed. None if it is a step of the sweep, which
    does not look for balancers.
    """
    if step.round <= SWEEP:
        return None
    balancers = Balancers.of(_gather(parts))
    return estimate_unseen(balancers.widths, balancers.flows)


def _ask_sweep(parts: Sequence[Part]) -> Iterator[pa.Table]:
    every = [part()[0] for part in parts]  # of pilots alone
    first = find_first_ttl(every)
    ends = [find_last_ttls(crossings) for crossings in every]
    pilots = np.concatenate([index for index, _ in ends])
    last = np.concatenate([last for _, last in ends])
    order = np.argsort(pilots)
    for part in parts:
        _, sent = part()
        yield sent.ask(sweep(sent, (pilots[order], last[order]), first))


def _ask_round(
    parts: Sequence[Part], step: Step, failure_probability: float, *, sweeps: bool
) -> Iterator[pa.Table]:
    evidence = _gather(parts)
    balancers = Balancers.of(evidence)
    sharing = reduce(Sharing.add, (Sharing.of(part()[0], balancers) for part in parts))
    wanted = want_flows(balancers, sharing, failure_probability)
    for part in parts:
        crossings, sent = part()
        # What was never asked is for the sweep, if there is one.
        at_vertices = np.where(
            crossings.is_asked, wanted[balancers.find(crossings)], 0.0
        )
        flows = want_at_vertices(at_vertices, crossings, sent, step.round)
        if sweeps:
            flows = np.maximum(flows, sweep_on(sent, crossings, evidence.ends))
        yield sent.ask(flows)


def _gather(parts: Sequence[Part]) -> Evidence:
    return Evidence.join([Evidence.of(part()[0]) for part in parts])
