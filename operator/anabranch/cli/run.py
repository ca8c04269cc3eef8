"""`anabranch run`: a survey from this machine."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Measurement
from anabranch.cli.command import open_stdin, write

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.local.assignment import Assignment
    from anabranch.local.survey import Report
    from anabranch.store.directory import DirectoryStore

DATA = Path("anabranch-data")
"""Where results go when nobody says where."""
INTERRUPTED = 130
"""What shells give for a program that SIGINT ended."""


def add_parser(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "run",
        help="run the measurements of manifests from this machine",
        description="Runs measurements from this machine, each agent where its nodeName "
        "says: in the network namespace of that name, or right here on localhost. What "
        "was interrupted goes on when it is started again. Exits with 0 when all is "
        "mapped, 1 when something is refused or fails, 130 when it was interrupted.",
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
        help=f"where replies and results are kept, by default {DATA}",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be sent, and send nothing",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Runs all measurements, one after another."""
    from anabranch.local.assignment import RunError, assign  # noqa: PLC0415 (extras)
    from anabranch.local.manifest import load_manifests  # noqa: PLC0415 (extras)

    manifests = load_manifests(chosen.files, open_stdin)
    documents = manifests.of_kind(Measurement)
    if not documents:
        print("anabranch: there is no Measurement to run; add one", file=sys.stderr)
        return 1
    assigned = [(each.object, list(assign(manifests, each))) for each in documents]
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    code = 0
    for measurement, assignments in assigned:
        try:
            if chosen.dry_run or measurement.spec.dry_run:
                describe(assignments)
            else:
                check(measurement, assignments)
                code = max(code, survey(assignments, chosen.data, stopped))
        except RunError as error:
            print(f"anabranch: {measurement.metadata.name}: {error}", file=sys.stderr)
            code = max(code, 1)
    return code


def check(measurement: Measurement, assignments: list[Assignment]) -> None:
    """Sees that a measurement is to run.

    Raises:
        RunError: When it is not, with the remedy.
    """
    from anabranch.local.assignment import RunError  # noqa: PLC0415 (extras)

    spec = measurement.spec
    if spec.suspend:
        raise RunError("it is suspended; remove suspend to run it")
    if any(assignment.policy.stop for assignment in assignments):
        raise RunError("the ProbingPolicy stops all probing; set its stop to false")
    if len(assignments) < spec.min_agents:
        count = len(assignments)
        raise RunError(
            f"minAgents is {spec.min_agents}, but only {count} are selected; lower it, "
            "or select more"
        )


def describe(assignments: list[Assignment]) -> None:
    """Says what would be sent, and how long it would take."""
    import tempfile  # noqa: PLC0415 (as the function's other needs)

    from anabranch.api.tool import DiamondMiner  # noqa: PLC0415 (with them)
    from anabranch.local.display import describe_seconds  # noqa: PLC0415 (extras)

    for assignment in assignments:
        with tempfile.TemporaryDirectory() as folder:
            probes = assignment.write_targets(Path(folder, "targets.parquet")).probes
        name, run = assignment.agent.metadata.name, assignment.keys.measurement
        more = ""
        if isinstance(assignment.measurement.spec.tool, DiamondMiner):
            more = "; less where paths end before, then what load balancers take"
        write(
            f"{run}: {name} would send {probes:,} probes to {len(assignment.targets):,} "
            f"targets at {assignment.rate:,}/s: "
            f"{describe_seconds(probes / assignment.rate)} for the first round{more}\n"
        )


def survey(
    assignments: list[Assignment], data: Path, stopped: threading.Event
) -> int:
    """Runs a measurement, shows how far it is, and sums it up; the exit code."""
    from anabranch.local.display import open_display  # noqa: PLC0415 (extras)
    from anabranch.local.survey import run_survey  # noqa: PLC0415 (extras)
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415 (extras)

    start_at = assignments[0].measurement.spec.start_at
    if start_at:
        stopped.wait(max((start_at - datetime.now(UTC)).total_seconds(), 0))
    store = DirectoryStore(data)
    with open_display(sys.stderr) as display:
        report = run_survey(assignments, store, display.show, stopped)
    sum_up(assignments, report, store)
    for agent in report.failed:
        if not isinstance(agent.error, (OSError, ValueError, RuntimeError)):
            raise agent.error or AssertionError
        print(f"anabranch: {agent.name}: {agent.error}", file=sys.stderr)
    if report.failed:
        return 1
    return INTERRUPTED if report.stopped else 0


def sum_up(
    assignments: list[Assignment], report: Report, store: DirectoryStore
) -> None:
    """Says what was sent and found, and where it is."""
    from anabranch.local.display import describe_seconds  # noqa: PLC0415 (extras)

    for assignment, agent in zip(assignments, report.agents, strict=True):
        extra = [
            f"{count:,} {what}"
            for count, what in (
                (agent.unroutable, "probes had no route"),
                (agent.lost, "packets were lost before they were read"),
            )
            if count
        ]
        line = (
            f"{agent.name}: {agent.state.value} in round {agent.step.round}: "
            f"{agent.sent + agent.step_sent:,} probes, {agent.replies:,} replies, "
            f"{agent.links:,} links"
        )
        folder = store.path(assignment.keys.root)
        write(f"{', '.join([line, *extra])}: {folder}\n")
    write(f"{describe_seconds(report.seconds)} in all\n")
    if report.stopped:
        write("interrupted: run it again to go on\n")
