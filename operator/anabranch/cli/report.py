"""`anabranch report`: write a page about a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.cli.results import add_run_arguments, open_chosen

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write a page about a run",
        description="Writes an HTML page that needs no other file and no network: what "
        "was asked, how it went, what was found, and graphs to look at.",
    )
    add_run_arguments(parser)
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to write."""
    parser.add_argument(
        "--target",
        metavar="PREFIX",
        help="the target whose paths can be drawn; by default the one with the most "
        "links",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write; by default NAME.html",
    )


def run(chosen: argparse.Namespace) -> int:
    """Write the page."""
    # Extras, which other commands do without.
    from anabranch.report.facts import gather  # noqa: PLC0415
    from anabranch.report.page import write_page  # noqa: PLC0415

    file = chosen.output or Path(f"{chosen.measurement}.html")
    try:
        survey = open_chosen(chosen)
        # A wrong folder must be known before all the work.
        file.parent.resolve(strict=True)
        with survey.open_results() as results:
            facts = gather(results, chosen.target)
        file.write_text(write_page(facts), "utf-8")
    except (LookupError, RuntimeError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"anabranch: {error}; correct the path or its rights", file=sys.stderr)
        return 1
    write(f"{file}\n")
    return 0
