"""A measurement's run on this machine: all of its agents, each at its own pace."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.local.agentrun import AgentRun, Progress, State
from anabranch.local.assignment import RunError
from anabranch.local.datalock import lock_data
from anabranch.runs.removal import is_going
from anabranch.store.keys import SurveyKeys
from anabranch.warehouse.embedded import open_embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anabranch.local.policyfile import PolicyFiles
    from anabranch.runs.assignment import Assignment
    from anabranch.store.directory import DirectoryStore

_LOOK_SECONDS = 0.1
_POLICY_SECONDS = 1.0


@dataclass(frozen=True)
class Report:
    """How a run ended."""

    agents: list[Progress]
    seconds: float
    is_overdue: bool
    """Whether it was stopped because it exceeded its time limit."""

    @property
    def failed(self) -> list[Progress]:
        """The agents that did not finish because of an error."""
        return [agent for agent in self.agents if agent.state == State.FAILED]

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before it had finished."""
        return any(agent.state == State.STOPPED for agent in self.agents)


def run_survey(
    assignments: list[Assignment],
    store: DirectoryStore,
    show: Callable[[list[Progress]], None],
    stopped: threading.Event,
    policies: PolicyFiles,
) -> Report:
    """Run all agents to the end, or until ``stopped`` is set, and report failures.

    The run also stops when it exceeds the time limit of the measurement or the policy.
    ``show`` is called several times a second. A change of ``policies`` takes effect
    within a second or two, as in a cluster.

    Raises:
        RunError: When another process runs the measurement on the same data, or when a
            part of it is removed.
    """
    start = time.monotonic()
    with ExitStack() as stack:
        measurement = assignments[0].record.uid
        stack.enter_context(lock_data(store.root, measurement))
        _check_stays(assignments[0], store)
        scratch = stack.enter_context(_make_scratch(store.root, measurement))
        engine = stack.enter_context(closing(open_embedded(scratch=scratch)))
        runs = []
        for assignment in assignments:
            name = assignment.record.agent.metadata.name
            own = scratch / name
            own.mkdir()
            progress = Progress(name)
            run = AgentRun(assignment, store, engine, own, progress)
            runs.append(run)
        agents = [run.progress for run in runs]
        deadline = start + _find_limit(assignments[0])
        looked = 0.0
        with _running(runs) as threads:
            while any(thread.is_alive() for thread in threads):
                if stopped.is_set() or time.monotonic() > deadline:
                    for run in runs:
                        run.stop()
                if time.monotonic() > looked + _POLICY_SECONDS:
                    looked = time.monotonic()
                    policy = policies.look()
                    for run in runs:
                        run.obey(policy)
                time.sleep(_LOOK_SECONDS)
                show(agents)
        show(agents)
    end = time.monotonic()
    is_overdue = end > deadline and any(each.state == State.STOPPED for each in agents)
    return Report(agents, end - start, is_overdue)


def _check_stays(assignment: Assignment, store: DirectoryStore) -> None:
    """Raise RunError if the removal of the run was interrupted."""
    keys = assignment.record.keys
    if is_going(store, SurveyKeys(keys.measurement, keys.run_id)):
        raise RunError(
            "the removal of this run was interrupted; end it by "
            f"anabranch purge --data {store.root} --yes, or set a new runId"
        )


def _find_limit(assignment: Assignment) -> float:
    """Return how long a run may take, in seconds; infinity if there is no limit."""
    record = assignment.record
    spec, limits = record.measurement.spec, record.policy.limits
    given = (spec.active_deadline_seconds, limits.max_duration_seconds)
    return min((limit for limit in given if limit), default=float("inf"))


@contextmanager
def _running(runs: list[AgentRun]) -> Iterator[list[threading.Thread]]:
    """Run all agents, each in a thread; stop and join all threads in any case."""
    threads = [threading.Thread(target=run.run) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for run, thread in zip(runs, threads, strict=True):
            # This stops nothing, unless something went wrong: all agents have ended.
            run.stop()
            thread.join()


@contextmanager
def _make_scratch(root: Path, measurement: str) -> Iterator[Path]:
    """Make a folder for temporary files, without what a killed process left there."""
    scratch = root / f".{measurement}.scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
