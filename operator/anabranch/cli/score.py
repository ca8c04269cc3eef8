"""`anabranch score`: measure how much of a simulated Internet a survey found."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Measurement
from anabranch.cli.command import open_stdin, write
from anabranch.cli.run import DATA
from anabranch.cli.simulation import add_simulation_arguments, open_simulation

if TYPE_CHECKING:
    from anabranch_engine import Simulation

    from anabranch.api.manifest import Document, Manifests
    from anabranch.cli.command import Commands
    from anabranch.runs.assignment import Assignment
    from anabranch.warehouse.survey import Survey


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "score",
        help="compare the results of a survey with the simulated Internet that it "
        "ran in",
        description="Prints precision: the share of the links found that exist. "
        "Prints recall: the share found of the links that the first flows of "
        "all prefixes cross; and, with --expected, the recall to expect. If "
        "routers were looked for, it prints both of pairs of aliases. Give the "
        "same arguments for the simulation as for the survey.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="the manifests")
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="DIR",
        help=f"where the results are, by default {DATA}",
    )
    parser.add_argument(
        "--flows",
        type=read_count,
        default=256,
        metavar="F",
        help="recall refers to the first F flows of each prefix, by default 256",
    )
    parser.add_argument(
        "--expected",
        type=Path,
        metavar="FILE",
        help="the expected recall, as --rehearse wrote it",
    )
    parser.add_argument(
        "--rehearse",
        type=read_count,
        metavar="RUNS",
        help="estimate the expected recall from this many runs without packets, each "
        "with other flows; write it to the file of --expected, and ignore the "
        "results",
    )
    add_simulation_arguments(parser)
    parser.set_defaults(run=run)


def read_count(text: str) -> int:
    """Read a whole number from 1 to 2^31 - 1."""
    most = (1 << 31) - 1
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= most:
        return int(text)
    message = f"{text!r} must be a number from 1 on, up to {most:,}"
    raise argparse.ArgumentTypeError(message)


def run(chosen: argparse.Namespace) -> int:
    """Print precision and recall, or the expected recall."""
    # Extras, which other commands do without.
    from anabranch.local.manifest import load_manifests  # noqa: PLC0415
    from anabranch.warehouse.survey import open_survey  # noqa: PLC0415

    manifests = load_manifests(chosen.files, open_stdin)
    try:
        simulation = open_simulation(chosen)
        for document in manifests.of_kind(Measurement):
            spec = document.object.spec
            namespace, name = document.object.key
            if not chosen.rehearse:
                # It says which runs there are if this one is not.
                survey = open_survey(
                    chosen.data, name, namespace=namespace, run_id=spec.run_id
                )
            # The tool aliases has the links of another one.
            if not spec.aliases:
                score_links(chosen, simulation, manifests, document)
            resolves = spec.aliases or (spec.trace and spec.trace.aliases)
            if resolves and not chosen.rehearse:
                score_aliases(name, simulation, survey)
    except (LookupError, ValueError, RuntimeError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    return 0


def score_links(
    chosen: argparse.Namespace,
    simulation: Simulation,
    manifests: Manifests,
    document: Document[Measurement],
) -> None:
    """Print how many links a measurement found, or is expected to find."""
    # Extras, which other commands do without.
    from anabranch.local.assignment import assign_all  # noqa: PLC0415
    from anabranch.local.score import Judge  # noqa: PLC0415

    assignments = list(assign_all(manifests, document))
    name = document.object.metadata.name
    judge = Judge(simulation, assignments, chosen.flows)
    if chosen.rehearse:
        found = asdict(judge.rehearse(range(chosen.rehearse)))
        text = json.dumps({"flows": chosen.flows} | found, indent=1)
        if chosen.expected:
            chosen.expected.write_text(f"{text}\n")
        write(f"{text}\n")
        return
    score = judge.judge(read_links(chosen.data, assignments))
    write(
        f"{name}: precision {score.precision:.4f}: "
        f"{score.real:,} of {score.found:,} links are there\n"
        f"{name}: recall {score.recall:.4f}: {score.known_found:,} of the "
        f"{score.known:,} links that flows 0 to {chosen.flows - 1} cross"
        f"{describe_expected(chosen)}\n"
    )


def score_aliases(name: str, simulation: Simulation, survey: Survey) -> None:
    """Print how many pairs of interfaces of one router a measurement found."""
    # An extra, which other commands do without.
    from anabranch.local.aliasscore import judge_aliases  # noqa: PLC0415

    score = judge_aliases(simulation, survey)
    write(
        f"{name}: aliases: precision {score.precision:.4f}: {score.real:,} of "
        f"{score.found:,} accepted pairs are of one router\n"
        f"{name}: aliases: recall {score.recall:.4f}: of {score.known:,} such pairs "
        "among the interfaces that were found\n"
    )


def describe_expected(chosen: argparse.Namespace) -> str:
    """Return the expected recall in words, or an empty text if no file is given.

    Raises:
        ValueError: If the file is invalid, or refers to another number of flows.
    """
    if not chosen.expected:
        return ""
    try:
        expected = json.loads(chosen.expected.read_text())
        flows, *shares = (expected[name] for name in ("flows", "mean", "low", "high"))
        mean, low, high = map(float, shares)
    except (KeyError, TypeError, ValueError) as error:
        message = f"{chosen.expected} is not what --rehearse writes; write it anew"
        raise ValueError(message) from error
    if flows != chosen.flows:
        raise ValueError(f"{chosen.expected} is of {flows} flows: say so")
    return f"; expected {mean:.4f}, in 99 of 100 runs {low:.4f} to {high:.4f}"


def read_links(
    data: Path, assignments: list[Assignment], *, suspect: bool = False
) -> set[tuple[int, int]]:
    """Return the links of a run, as pairs of addresses; suspect ones only on request.

    Raises:
        LookupError: If there are no results.
    """
    # Extras, which other commands do without.
    from anabranch.local.score import tell  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415
    from anabranch.warehouse.survey import open_results  # noqa: PLC0415

    keys = [each.record.keys for each in assignments]
    with (
        open_results(DirectoryStore(data), keys) as results,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder, "links.csv")
        results.write("links", "csv", file)
        with file.open(newline="") as rows:
            ends = ("near_addr", "far_addr")
            return {
                (tell(row[ends[0]]), tell(row[ends[1]]))
                for row in csv.DictReader(rows)
                if suspect or row["is_suspect"] == "0"
            }
