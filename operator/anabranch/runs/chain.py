"""Read the progress of a run: the outcome of each step names the next step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from anabranch.rounds.outcome import Outcome, PlanSummary
from anabranch.rounds.steps import FIRST, Step
from anabranch.store.keys import SurveyKeys

if TYPE_CHECKING:
    from anabranch.store.keys import RunKeys, StepKeys
    from anabranch.store.store import Store


def read_outcomes(
    store: Store, keys: RunKeys, known: dict[Step, Outcome] | None = None
) -> dict[Step, Outcome]:
    """Return the outcomes of concluded steps in order, without rereading ``known``."""
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


def is_concluded(store: Store, keys: StepKeys) -> bool:
    """Return whether a step has an outcome."""
    try:
        store.tail(keys.outcome, 1)
    except FileNotFoundError:
        return False
    return True


def has_ended(store: Store, keys: RunKeys) -> bool:
    """Return whether a run's last step is concluded, or its results are gathered."""
    outcomes = read_outcomes(store, keys)
    if outcomes and outcomes[max(outcomes)].next_step is None:
        return True
    try:
        store.tail(SurveyKeys(keys.measurement, keys.run_id).summary, 1)
    except FileNotFoundError:
        return False
    return True


def read_summary(store: Store, keys: StepKeys) -> PlanSummary | None:
    """Return the summary of a step's plan, or None if there is no plan yet."""
    try:
        return PlanSummary(**json.loads(store.get(keys.summary)))
    except FileNotFoundError:
        return None
