"""`anabranch fakeroute`: test how often a multipath algorithm misses a link."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.cli.rule import add_rule_arguments, choose_failure_probability
from anabranch.cli.score import read_count
from anabranch.local.validation import FEWEST_SAMPLES, summarise

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.local.validation import Validation

_MOST_RUNS = 1 << 32
"""Runs are told apart by a number of 32 bits."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "fakeroute",
        help="test how often a multipath algorithm misses a link of a topology",
        description="Traces a topology many times in the process, without packets, and "
        "compares how often a link is missed with what the stopping points predict, as "
        "Fakeroute does. Exits with 2 if the algorithm fails more often than that.",
    )
    parser.add_argument(
        "topology",
        type=Path,
        metavar="FILE",
        help="links from a vantage point to a destination, as Fakeroute has them",
    )
    add_rule_arguments(parser, "mda")
    parser.add_argument("--runs", type=read_count, default=1000, metavar="N")
    parser.add_argument(
        "--samples",
        type=read_count,
        default=50,
        metavar="N",
        help="the number of samples of --runs runs, 2 or more; 50",
    )
    parser.add_argument("--seed", type=read_count, default=1, metavar="S")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the predicted and the measured failure; return 2 if it is too high."""
    from anabranch_engine import Trial  # noqa: PLC0415 (an extra)

    failure = choose_failure_probability(chosen)
    if chosen.samples < FEWEST_SAMPLES or chosen.runs * chosen.samples > _MOST_RUNS:
        message = (
            f"--samples must be {FEWEST_SAMPLES} or more, and all runs at most "
            f"{_MOST_RUNS:,}"
        )
        print(f"anabranch: {message}", file=sys.stderr)
        return 1
    try:
        trial = Trial(
            chosen.topology,
            algorithm=chosen.algorithm,
            failure_probability=failure,
            phi=chosen.phi,
            seed=chosen.seed,
        )
    except (OSError, ValueError) as error:
        print(f"anabranch: {error}", file=sys.stderr)
        return 1
    starts = range(0, chosen.runs * chosen.samples, chosen.runs)
    found = summarise(
        [trial.run(start, chosen.runs) for start in starts],
        chosen.runs,
        predicted=None if chosen.algorithm == "singlePath" else trial.predicted,
        vertices=trial.vertices,
        edges=trial.edges,
    )
    head = (
        f"{chosen.topology}: {trial.vertices} interfaces, {trial.edges} links\n"
        f"{chosen.algorithm}, failure probability of a vertex {failure:.5g}, "
        f"{chosen.samples} samples of {chosen.runs:,} runs\n"
    )
    write(head + _describe(found, with_verdict=chosen.algorithm != "singlePath"))
    return 2 if found.is_broken else 0


def _describe(found: Validation, *, with_verdict: bool) -> str:
    lowest, highest = found.interval(0.95)
    rows = {
        "missed a link": f"{found.mean:.5f}  (95 %: {lowest:.5f} to {highest:.5f})",
        "probes a run": f"{found.probes:.1f}",
        "interfaces found": f"{found.vertices:.4f}",
        "links found": f"{found.edges:.4f}",
    }
    if found.predicted is not None:
        rows = {"predicted": f"{found.predicted:.5f}", **rows}
    for reason, share in found.switches.items():
        rows[f"switched: {reason}"] = f"{share:.4f}"
    if with_verdict:
        rows["verdict"] = found.verdict
    return "".join(f"  {name:<26}{value}\n" for name, value in rows.items())
