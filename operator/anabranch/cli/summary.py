"""What `anabranch run` says of surveys, before and after them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.local.display import describe_seconds
from anabranch.rounds.shortfall import find_coverage
from anabranch.rounds.tools import Unit, face_of
from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.damage import DamagedError
from anabranch.warehouse.survey import open_results

if TYPE_CHECKING:
    from anabranch.api.measurementspec import MeasurementSpec
    from anabranch.local.survey import Report
    from anabranch.runs.assignment import Assignment

_OF_CLUSTERS = {
    "annotate_from": "annotateFrom is for clusters, and passed over here; afterwards, "
    "name files that say what is known: anabranch results --annotate FILE",
    "outputs": "outputs is for clusters, and passed over here; afterwards, write "
    "traces: anabranch results --format FORMAT",
}
"""What only clusters do of what a Measurement asks for, and what to use instead."""


def find_passed_over(spec: MeasurementSpec) -> list[str]:
    """Return what a local run does not do of what is asked for, with the remedy."""
    passed_over = dict(_OF_CLUSTERS)
    if spec.is_standing:
        # What its agents know goes into archives.
        del passed_over["annotate_from"]
    return [message for field, message in passed_over.items() if getattr(spec, field)]


def describe(assignments: list[Assignment]) -> None:
    """Print how many probes each agent would send, and how long that would take."""
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


def sum_up(assignments: list[Assignment], report: Report, data: Path) -> None:
    """Print what was sent and found, and where the results are."""
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


def tell(message: str) -> None:
    """Print a message to standard error, with the program's name."""
    print(f"anabranch: {message}", file=sys.stderr)
