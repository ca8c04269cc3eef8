"""How far a run is: each step that has an outcome names the next one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from anabranch.rounds.outcome import Outcome, PlanSummary
from anabranch.rounds.steps import FIRST, Step

if TYPE_CHECKING:
    from anabranch.store.keys import RunKeys, StepKeys
    from anabranch.store.store import Store


def read_outcomes(
    store: Store, keys: RunKeys, known: dict[Step, Outcome] | None = None
) -> dict[Step, Outcome]:
    """The steps that were concluded, in order; ``known`` ones are not read again."""
    outcomes = dict(known or {})
    step = next(reversed(outcomes.values())).next_step if outcomes else FIRST
    while step:
        try:
            text = store.get(keys.step(step).outcome)
        except FileNotFoundError:
            break
        outcomes[step] = Outcome(**json.loads(text))
        step = outcomes[step].next_step
    return outcomes


def read_summary(store: Store, keys: StepKeys) -> PlanSummary | None:
    """What is to be known of a step's plan; none if it is not made yet."""
    try:
        return PlanSummary(**json.loads(store.get(keys.summary)))
    except FileNotFoundError:
        return None
