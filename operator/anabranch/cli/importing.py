"""`anabranch import`: make a survey of files of other tools."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.cli.run import DATA

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "import",
        help="make a survey of files of other tools",
        description="Reads traces of other tools and makes a survey of them, with "
        "links, diamonds and tables as if they were of a run. Files may be warts, "
        "scamper's JSON, RIPE Atlas' JSON, M-Lab's JSONL or its older .paris texts, or "
        "CSV of caracal's replies; plain or compressed, alone or in tar archives. "
        "Their content tells which. What a file does not say stays empty.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--name", default="imported", help="the survey's name, by default imported"
    )
    parser.add_argument("--namespace", default="default", help="the survey's namespace")
    parser.add_argument(
        "--run-id", default="1", help="the run's identifier, by default 1"
    )
    parser.add_argument(
        "--agent",
        default="imported",
        help="a name for the vantage point, by default imported",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="the files' format, if it is not to be told by their content",
    )
    parser.add_argument(
        "--allow-reserved",
        action="store_true",
        help="count replies from space that is not globally reachable: private "
        "addresses are other interfaces elsewhere",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="DIR",
        help=f"the folder to write to, by default {DATA}",
    )
    parser.set_defaults(run=run)


FORMATS = ("warts", "scamper-json", "atlas-json", "mlab", "paris", "caracal-csv")
"""The formats that can be read, by their names."""


def run(chosen: argparse.Namespace) -> int:
    """Import the files, and print what was found."""
    # Extras, which other commands do without.
    from anabranch.local.archive import Importer  # noqa: PLC0415
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415
    from anabranch.warehouse.embedded import open_embedded  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as scratch:
        importer = Importer(
            DirectoryStore(chosen.data),
            open_embedded(),
            Path(scratch),
            name=chosen.name,
            namespace=chosen.namespace,
            run_id=chosen.run_id,
            agent=chosen.agent,
            allow_reserved=chosen.allow_reserved,
        )
        try:
            archive = importer.read(chosen.files, chosen.format)
        except ValueError as error:
            print(f"anabranch: {error}", file=sys.stderr)
            return 1
    outcome = archive.outcome
    traces = f"{archive.traces:,} traces, " if archive.traces else ""
    write(
        f"{chosen.name}: {traces}{outcome.replies:,} replies, "
        f"{outcome.links:,} links, in {chosen.data}\n"
    )
    for what, count in archive.skipped.items():
        write(f"{chosen.name}: {count:,} x {what} left out\n")
    return 0
