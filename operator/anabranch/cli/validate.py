"""`anabranch validate`: check manifests."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from anabranch.cli.command import open_stdin, write

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "check manifests, their references, and what they would probe"
    parser = commands.add_parser("validate", help=summary, description=summary)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a manifest, a folder with *.yaml and *.yml, or - for standard input",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Report every problem of every file, or print the number of objects by kind."""
    from anabranch.local.manifest import load_manifests  # noqa: PLC0415 (the engine)

    manifests = load_manifests(chosen.files, open_stdin)
    counts = Counter(type(each.object).__name__ for each in manifests.documents)
    write("".join(f"{kind:<14}{n:>6}  valid\n" for kind, n in sorted(counts.items())))
    return 0
