"""Each job of ``anabranch job``, by its name."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anabranch.jobs.removal import remove_cycles
from anabranch.jobs.results import gather
from anabranch.jobs.steps import AgentJob, count
from anabranch.jobs.targets import check_list
from anabranch.rounds.steps import Step
from anabranch.rounds.workers import Worker
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.warehouse.environment import open_tables, open_warehouse

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from anabranch.store.store import Store

_INDEX = "JOB_COMPLETION_INDEX"
"""The variable with which Kubernetes numbers the pods of an Indexed Job."""


def work_on_list(chosen: Namespace, store: Store, _: Path) -> None:
    """Check a TargetList of the cluster, which may be in a ConfigMap."""
    from anabranch.jobs.lists import fetch_list  # noqa: PLC0415 (a second to import)

    spec, content = asyncio.run(fetch_list(chosen.namespace, chosen.name))
    check_list(store, spec, content, chosen.report)


def work_on_count(chosen: Namespace, store: Store, scratch: Path) -> None:
    """Count what an agent would send."""
    keys = SurveyKeys(chosen.measurement, chosen.run_id, chosen.part)
    with open_warehouse(os.environ) as warehouse:
        count(store, warehouse, keys, chosen.agent, scratch)


def work_on_begin(chosen: Namespace, store: Store, scratch: Path) -> None:
    """Plan the first step of an agent's run."""
    with _open(chosen, store, scratch) as job:
        job.begin()


def work_on_conclude(chosen: Namespace, store: Store, scratch: Path) -> None:
    """Find the links of a step, and plan the next step."""
    step = Step.parse(chosen.step)
    with _open(chosen, store, scratch) as job:
        worker = Worker(int(os.environ.get(_INDEX, "0")), chosen.workers)
        job.conclude(step, worker, is_last=chosen.last)


def work_on_results(chosen: Namespace, store: Store, scratch: Path) -> None:
    """Gather what all agents found."""
    keys = SurveyKeys(chosen.measurement, chosen.run_id)
    with open_warehouse(os.environ) as warehouse:
        gather(store, warehouse, keys, chosen.agents, scratch)


def work_on_removal(chosen: Namespace, store: Store, _: Path) -> None:
    """Remove the objects of old cycles."""
    with open_tables(os.environ) as tables:
        remove_cycles(store, tables, chosen.survey, chosen.cycles)


WORK: Mapping[str, Callable[[Namespace, Store, Path], None]] = {
    "list": work_on_list,
    "count": work_on_count,
    "begin": work_on_begin,
    "conclude": work_on_conclude,
    "results": work_on_results,
    "remove": work_on_removal,
}


@contextmanager
def _open(chosen: Namespace, store: Store, scratch: Path) -> Iterator[AgentJob]:
    keys = RunKeys(chosen.measurement, chosen.run_id, chosen.agent)
    with open_warehouse(os.environ) as warehouse:
        yield AgentJob(store, warehouse, keys, scratch)
