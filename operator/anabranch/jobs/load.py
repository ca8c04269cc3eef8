"""Loads a run into the tables of ClickHouse again, which hold only derived data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.runs.chain import read_outcomes
from anabranch.runs.report import Findings, read_report
from anabranch.runs.roster import Roster
from anabranch.store.keys import RunKeys
from anabranch.warehouse.agentdiamonds import put_diamonds
from anabranch.warehouse.damage import naming_damage
from anabranch.warehouse.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anabranch.store.keys import SurveyKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.tables import Tables


def load(
    store: Store, tables: Tables, keys: SurveyKeys, scratch: Path
) -> Iterator[tuple[str, int]]:
    """Load what all agents of a run have so far.

    Yield each agent and the number of its steps.

    Raises:
        FileNotFoundError: When there is no such run.
        DamagedError: When an object of it can't be used.
    """
    roster = Roster.model_validate_json(store.get(keys.roster))
    # Diamonds are stored only once, so wait until all links are there.
    is_over = read_report(store, keys.summary, Findings) is not None
    names = [member.name for member in roster.runs]
    runs = [RunKeys(keys.measurement, keys.run_id, name) for name in names]
    tables.make_anew(runs)
    results = Results(store, tables.engine, runs, scratch, store)
    routers = None
    if is_over:
        with naming_damage(store, runs):
            routers = results.find_routers()
    for agent in results.agents:
        run = agent.keys
        with naming_damage(store, [run]):
            steps = list(read_outcomes(store, run))
            for number in range(len(steps)):
                tables.load_step(store, run, steps[: number + 1])
            if is_over and not roster.subject:
                put_diamonds(agent, scratch, routers)
                tables.load_diamonds(store, run)
        yield run.agent, len(steps)
    tables.load_routers(store, keys)
