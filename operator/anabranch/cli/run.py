"""`anabranch run`: run a survey from this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands

DATA = Path("anabranch-data")
"""The default folder for replies and results."""


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
    # It takes extras, which other commands do without.
    from anabranch.cli.worklist import run_all  # noqa: PLC0415

    return run_all(chosen)
