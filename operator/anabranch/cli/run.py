"""`anabranch run`: run a survey from this machine."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Measurement, Survey
from anabranch.api.manifest import make_measurement
from anabranch.cli.command import INTERRUPTED, open_stdin, write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from anabranch.api.manifest import Document, Manifests
    from anabranch.api.measurementspec import MeasurementSpec
    from anabranch.cli.command import Commands
    from anabranch.local.survey import Report
    from anabranch.runs.assignment import Assignment

DATA = Path("anabranch-data")
"""The default folder for replies and results."""
_OF_CLUSTERS = {
    "annotate_from": "annotateFrom is for clusters, and passed over here; afterwards, "
    "name files that say what is known: anabranch results --annotate FILE",
    "outputs": "outputs is for clusters, and passed over here; afterwards, write "
    "traces: anabranch results --format FORMAT",
}
"""What only clusters do of what a Measurement asks for, and what to use instead."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="run the measurements of manifests from this machine",
        description="Runs measurements from this machine, and one cycle of each "
        "Survey. An agent's nodeName says "
        "where it runs: in the network namespace of that name, or, if it "
        "is localhost, in that of this command. To continue an "
        "interrupted run, start it again. While a run is on, it obeys "
        "changes of the ProbingPolicy within seconds. The exit code is 0 "
        "if all measurements finish, 1 if something is refused or fails, "
        "and 130 if interrupted.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a manifest, a folder with *.yaml and *.yml, or - for standard input",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="DIR",
        help=f"the folder for replies and results, by default {DATA}",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="report what would be sent, and send nothing",
    )
    parser.add_argument(
        "--cycles",
        type=int,
        default=1,
        metavar="N",
        help="how many cycles of each Survey to run, one after another; by default one",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run all measurements and surveys, one after another."""
    # Extras, which other commands do without.
    from anabranch.local.assignment import assign_all  # noqa: PLC0415
    from anabranch.local.manifest import load_manifests  # noqa: PLC0415

    manifests = load_manifests(chosen.files, open_stdin)
    documents, surveys = manifests.of_kind(Measurement), manifests.of_kind(Survey)
    if not documents and not surveys:
        _tell("there is no Measurement or Survey to run; add one")
        return 1
    if chosen.cycles < 1:
        _tell(f"--cycles is {chosen.cycles}; give 1 or more")
        return 1
    standing = [each for each in documents if each.object.spec.is_standing]
    # What they compare may be found by the others first.
    comparing = [each for each in documents if each.object.spec.aliases]
    documents = [
        each for each in documents if each not in standing and each not in comparing
    ]
    assigned = [list(assign_all(manifests, each)) for each in documents]
    stopped = catch_signals()
    for document in manifests.of_measurements():
        for field in find_passed_over(document.object.spec):
            _tell(f"{document.object.metadata.name}: {field}")
    work: list[tuple[str, Callable[[], int]]] = [
        (
            each.object.metadata.name,
            partial(run_one, each.object, todo, chosen, stopped),
        )
        for each, todo in zip(documents, assigned, strict=True)
    ]
    work += [
        (
            each.object.metadata.name,
            partial(run_cycles, manifests, each, chosen, stopped),
        )
        for each in surveys
    ]
    work += [
        (
            each.object.metadata.name,
            partial(run_comparison, manifests, each, chosen, stopped),
        )
        for each in comparing
    ]
    # They do not end, so they come last.
    work += [
        (
            each.object.metadata.name,
            partial(run_standing, manifests, each.object, chosen, stopped),
        )
        for each in standing
    ]
    code = 0
    for name, do in work:
        if stopped.is_set():
            return INTERRUPTED
        code = max(code, attempt(name, do))
    return code


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
    from anabranch.local.assignment import RunError  # noqa: PLC0415 (an extra)

    try:
        return do()
    except RunError as error:
        _tell(f"{name}: {error}")
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
    # Extras, which other commands do without.
    from anabranch.local.assignment import assign_all  # noqa: PLC0415
    from anabranch.local.subject import find_subject  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415

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
    # Extras, which other commands do without.
    from anabranch.local.assignment import RunError  # noqa: PLC0415
    from anabranch.local.policyfile import PolicyFiles, find_policy  # noqa: PLC0415
    from anabranch.local.standing import make_posts, run_posts  # noqa: PLC0415
    from anabranch.local.standingdisplay import StandingDisplay  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415

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
    policies = PolicyFiles(chosen.files, policy, _tell)
    display = StandingDisplay(lambda line: _tell(f"{name}: {line}"))
    run_posts(posts, store, display.show, stopped, policies)
    failed = [post for post in posts if post.error]
    for post in failed:
        if not isinstance(post.error, (OSError, ValueError, RuntimeError)):
            raise post.error or AssertionError
        _tell(f"{post.name}: {post.error}")
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
    # Extras, which other commands do without.
    from anabranch.local.assignment import RunError  # noqa: PLC0415
    from anabranch.local.cycles import LocalCycles  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415

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


def find_passed_over(spec: MeasurementSpec) -> list[str]:
    """Return what a local run does not do of what is asked for, with the remedy."""
    passed_over = dict(_OF_CLUSTERS)
    if spec.is_standing:
        # What its agents know goes into archives.
        del passed_over["annotate_from"]
    return [message for field, message in passed_over.items() if getattr(spec, field)]


def check(measurement: Measurement, assignments: list[Assignment]) -> None:
    """Check that a measurement may run.

    Raises:
        RunError: If it may not, with the remedy.
    """
    from anabranch.local.assignment import (  # noqa: PLC0415 (an extra)
        RunError,
        find_network,
    )

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


def describe(assignments: list[Assignment]) -> None:
    """Print how many probes each agent would send, and how long that would take."""
    # Extras, which other commands do without.
    from anabranch.local.display import describe_seconds  # noqa: PLC0415
    from anabranch.rounds.shortfall import find_coverage  # noqa: PLC0415
    from anabranch.rounds.tools import Unit, face_of  # noqa: PLC0415

    for assignment in assignments:
        record, targets = assignment.record, assignment.counts
        line = f"{record.measurement.metadata.name}: {record.agent.metadata.name} would"
        with tempfile.TemporaryDirectory() as folder:
            units = assignment.count_units(Path(folder, "targets.parquet"))
        face = face_of(record.measurement.spec.tool)
        if face.compares:
            line += f" compare {units:,} addresses at {record.rate:,} probes/s"
        elif assignment.unit is Unit.DESTINATION:
            line += f" trace {units:,} destinations at {record.rate:,} probes/s"
        else:
            line += (
                f" send {units:,} probes to {targets.probed:,} targets at "
                f"{record.rate:,}/s, in {describe_seconds(units / record.rate)}"
            )
        if face.goes_on and not face.compares:
            line += (
                " at most for the first round; later rounds send what load balancers "
                "take"
            )
        write(f"{line}\n")
        for shortfall in find_coverage(targets).describe():
            write(f"{record.agent.metadata.name}: {shortfall}\n")


def survey(
    assignments: list[Assignment],
    chosen: argparse.Namespace,
    stopped: threading.Event,
) -> Report | None:
    """Run a measurement, show its progress and a summary.

    Return None if it was stopped before its start.
    """
    # Extras, which other commands do without.
    from anabranch.local.display import open_display  # noqa: PLC0415
    from anabranch.local.policyfile import PolicyFiles  # noqa: PLC0415
    from anabranch.local.survey import run_survey  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415

    spec = assignments[0].record.measurement.spec
    if spec.start_at:
        left = (spec.start_at - datetime.now(UTC)).total_seconds()
        if stopped.wait(max(left, 0)):
            return None
    with open_display(sys.stderr) as display:
        store = DirectoryStore(chosen.data)
        policies = PolicyFiles(chosen.files, assignments[0].record.policy, _tell)
        report = run_survey(assignments, store, display.show, stopped, policies)
    sum_up(assignments, report, chosen.data)
    for agent in report.failed:
        if not isinstance(agent.error, (OSError, ValueError, RuntimeError)):
            raise agent.error or AssertionError
        _tell(f"{agent.name}: {agent.error}")
    if report.is_overdue:
        message = "it took longer than it may: see activeDeadlineSeconds"
        _tell(f"{message}; what it found is kept")
    return report


def judge(report: Report | None) -> int:
    """Return the exit code for how a run ended."""
    if report is None:
        return INTERRUPTED
    if report.failed or report.is_overdue:
        return 1
    return INTERRUPTED if report.stopped else 0


def _tell(message: str) -> None:
    print(f"anabranch: {message}", file=sys.stderr)


def sum_up(assignments: list[Assignment], report: Report, data: Path) -> None:
    """Print what was sent and found, and where the results are."""
    # Extras, which other commands do without.
    from anabranch.local.display import describe_seconds  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415
    from anabranch.warehouse.damage import DamagedError  # noqa: PLC0415
    from anabranch.warehouse.survey import open_results  # noqa: PLC0415

    for agent in report.agents:
        probed = agent.coverage.probed
        counts = {
            **({} if probed is None else {"targets": probed}),
            "probes": agent.sent + agent.step_sent,
            "replies": agent.replies,
            "links": agent.links,
        }
        write(
            f"{agent.name}: {agent.state.value} in round {agent.step.round}: "
            f"{', '.join(f'{count:,} {what}' for what, count in counts.items())}\n"
        )
        for shortfall in agent.coverage.describe():
            write(f"{agent.name}: {shortfall}\n")
        if agent.missing_links is not None:
            more = f"at least some {agent.missing_links:,.0f} more links are expected"
            write(f"{agent.name}: {more}, which no flow has crossed\n")
        for name, reason in agent.lost.items():
            write(f"{agent.name}: others did what {name} left: {reason}\n")
    if any(isinstance(agent.error, DamagedError) for agent in report.failed):
        return
    name = assignments[0].record.measurement.metadata.name
    keys = [each.record.keys for each in assignments]
    with open_results(DirectoryStore(data), keys) as results:
        found = results.count()
    write(
        f"{name}: {found['interfaces']:,} interfaces and {found['links']:,} links in "
        f"{describe_seconds(report.seconds)}, in {data}\n"
    )
    if report.stopped:
        write("it was stopped; run it again to go on\n")
