"""What `anabranch run` does, in which order, and how it ends."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from anabranch.api import Measurement, Survey
from anabranch.api.manifest import make_measurement
from anabranch.cli.command import INTERRUPTED, open_stdin, write
from anabranch.cli.summary import describe, find_passed_over, sum_up, tell
from anabranch.local.assignment import RunError, assign_all, find_network
from anabranch.local.cycles import LocalCycles
from anabranch.local.display import open_display
from anabranch.local.manifest import load_manifests
from anabranch.local.policyfile import PolicyFiles, find_policy
from anabranch.local.standing import make_posts, run_posts
from anabranch.local.standingdisplay import StandingDisplay
from anabranch.local.subject import find_subject
from anabranch.local.survey import run_survey
from anabranch.store.directory import DirectoryStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from anabranch.api.manifest import Document, Manifests
    from anabranch.local.survey import Report
    from anabranch.runs.assignment import Assignment

    Work: TypeAlias = tuple[str, Callable[[], int]]
    """The name of what is done, and how; it returns an exit code."""


def run_all(chosen: argparse.Namespace) -> int:
    """Run what manifests ask for, one after another; return the exit code."""
    manifests = load_manifests(chosen.files, open_stdin)
    if not manifests.of_kind(Measurement) and not manifests.of_kind(Survey):
        tell("there is no Measurement or Survey to run; add one")
        return 1
    if chosen.cycles < 1:
        tell(f"--cycles is {chosen.cycles}; give 1 or more")
        return 1
    stopped = catch_signals()
    work = list_work(manifests, chosen, stopped)
    for document in manifests.of_measurements():
        for message in find_passed_over(document.object.spec):
            tell(f"{document.object.metadata.name}: {message}")
    code = 0
    for name, do in work:
        if stopped.is_set():
            return INTERRUPTED
        code = max(code, attempt(name, do))
    return code


def list_work(
    manifests: Manifests, chosen: argparse.Namespace, stopped: threading.Event
) -> list[Work]:
    """Return what is to be done, by name, in its order."""
    surveying: list[Work] = []
    comparing: list[Work] = []
    standing: list[Work] = []
    for each in manifests.of_kind(Measurement):
        name, spec = each.object.metadata.name, each.object.spec
        if spec.is_standing:
            do = partial(run_standing, manifests, each.object, chosen, stopped)
            standing.append((name, do))
        elif spec.aliases:
            do = partial(run_comparison, manifests, each, chosen, stopped)
            comparing.append((name, do))
        else:
            todo = list(assign_all(manifests, each))
            do = partial(run_one, each.object, todo, chosen, stopped)
            surveying.append((name, do))
    cycles: list[Work] = [
        (
            each.object.metadata.name,
            partial(run_cycles, manifests, each, chosen, stopped),
        )
        for each in manifests.of_kind(Survey)
    ]
    # What is compared may be found by the others first. What stands does not end.
    return [*surveying, *cycles, *comparing, *standing]


def catch_signals() -> threading.Event:
    """Return an event that is set by SIGINT and SIGTERM; a second one ends at once."""
    stopped = threading.Event()

    def stop(number: int, _: object) -> None:
        stopped.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopped


def attempt(name: str, do: Callable[[], int]) -> int:
    """Return what work comes to; report an error that says what to do, and return 1."""
    try:
        return do()
    except RunError as error:
        tell(f"{name}: {error}")
        return 1


def run_one(
    measurement: Measurement,
    assignments: list[Assignment],
    chosen: argparse.Namespace,
    stopped: threading.Event,
) -> int:
    """Run a measurement; return the exit code.

    Raises:
        RunError: If it may not run, with the remedy.
    """
    if chosen.dry_run or measurement.spec.dry_run:
        describe(assignments)
        return 0
    check(measurement, assignments)
    return judge(survey(assignments, chosen, stopped))


def run_comparison(
    manifests: Manifests,
    document: Document[Measurement],
    chosen: argparse.Namespace,
    stopped: threading.Event,
) -> int:
    """Find the aliases among what another measurement has found; return the exit code.

    Raises:
        RunError: If it may not run, with the remedy.
    """
    assignments = assign(manifests, document, chosen.data)
    return run_one(document.object, assignments, chosen, stopped)


def assign(
    manifests: Manifests, document: Document[Measurement], data: Path
) -> list[Assignment]:
    """Return what each agent has to do, also with what is in the folder.

    Raises:
        RunError: If what it compares is not there, with the remedy.
    """
    found = find_subject(manifests, document.object, DirectoryStore(data))
    return list(assign_all(manifests, document, found))


def run_standing(
    manifests: Manifests,
    measurement: Measurement,
    chosen: argparse.Namespace,
    stopped: threading.Event,
) -> int:
    """Trace the clients of connections until it is stopped; return the exit code.

    Raises:
        RunError: If it may not run, with the remedy.
    """
    name, spec = measurement.metadata.name, measurement.spec
    if spec.suspend:
        raise RunError("it is suspended; remove suspend to run it")
    store = DirectoryStore(chosen.data)
    policy = find_policy(manifests)
    if policy is None:
        raise RunError("there is no ProbingPolicy 'default'; add it")
    posts = make_posts(manifests, measurement, policy, store)
    if len(posts) < spec.min_agents:
        raise RunError(
            f"minAgents is {spec.min_agents}, but only {len(posts)} are selected; "
            "lower it, or select more"
        )
    if chosen.dry_run or spec.dry_run:
        names = ", ".join(post.name for post in posts)
        write(f"{name}: {names} would trace the clients of connections\n")
        return 0
    policies = PolicyFiles(chosen.files, policy, tell)
    display = StandingDisplay(lambda line: tell(f"{name}: {line}"))
    run_posts(posts, store, display.show, stopped, policies)
    failed = [post for post in posts if post.error]
    for post in failed:
        if not isinstance(post.error, (OSError, ValueError, RuntimeError)):
            raise post.error or AssertionError
        tell(f"{post.name}: {post.error}")
    write(f"{name}: archives are in {chosen.data}/agents\n")
    return 1 if failed else 0


def run_cycles(
    manifests: Manifests,
    document: Document[Survey],
    chosen: argparse.Namespace,
    stopped: threading.Event,
) -> int:
    """Run cycles of a survey, first one that was interrupted; return the exit code.

    Raises:
        RunError: If the survey may not run, with the remedy.
    """
    if document.object.spec.suspend:
        raise RunError("it is suspended; remove suspend to run it")
    cycles = LocalCycles(document.object, DirectoryStore(chosen.data))
    for _ in range(chosen.cycles):
        if stopped.is_set():
            return INTERRUPTED
        made = make_measurement(document, cycles.number)
        assignments = assign(manifests, made, chosen.data)
        if chosen.dry_run:
            describe(assignments)
            return 0
        check(made.object, assignments)
        number = cycles.begin(datetime.now(UTC))
        made = make_measurement(document, number)
        report = survey(assign(manifests, made, chosen.data), chosen, stopped)
        if report and (report.is_overdue or not (report.failed or report.stopped)):
            cycles.end(number, datetime.now(UTC), is_overdue=report.is_overdue)
        if code := judge(report):
            return code
    return 0


def check(measurement: Measurement, assignments: list[Assignment]) -> None:
    """Check that a measurement may run.

    Raises:
        RunError: If it may not, with the remedy.
    """
    records = [assignment.record for assignment in assignments]
    for record in records:
        for sender in record.senders:
            find_network(sender)
    spec = measurement.spec
    count = sum(len(record.senders) for record in records)
    if spec.suspend:
        raise RunError("it is suspended; remove suspend to run it")
    if any(record.policy.stop for record in records):
        raise RunError("the ProbingPolicy stops all probing; set its stop to false")
    if count < spec.min_agents:
        raise RunError(
            f"minAgents is {spec.min_agents}, but only {count} are selected; lower it, "
            "or select more"
        )


def survey(
    assignments: list[Assignment],
    chosen: argparse.Namespace,
    stopped: threading.Event,
) -> Report | None:
    """Run a measurement, show its progress and a summary.

    Return None if it was stopped before its start.
    """
    spec = assignments[0].record.measurement.spec
    if spec.start_at:
        left = (spec.start_at - datetime.now(UTC)).total_seconds()
        if stopped.wait(max(left, 0)):
            return None
    with open_display(sys.stderr) as display:
        store = DirectoryStore(chosen.data)
        policies = PolicyFiles(chosen.files, assignments[0].record.policy, tell)
        report = run_survey(assignments, store, display.show, stopped, policies)
    sum_up(assignments, report, chosen.data)
    for agent in report.failed:
        if not isinstance(agent.error, (OSError, ValueError, RuntimeError)):
            raise agent.error or AssertionError
        tell(f"{agent.name}: {agent.error}")
    if report.is_overdue:
        message = "it took longer than it may: see activeDeadlineSeconds"
        tell(f"{message}; what it found is kept")
    return report


def judge(report: Report | None) -> int:
    """Return the exit code for how a run ended."""
    if report is None:
        return INTERRUPTED
    if report.failed or report.is_overdue:
        return 1
    return INTERRUPTED if report.stopped else 0
