"""`anabranch validate`: are these manifests right?"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from anabranch.local.manifest import load_manifests

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Adds the command."""
    summary = "check manifests, all that they name, and their target lists"
    parser = commands.add_parser("validate", help=summary, description=summary)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a manifest, a folder with *.yaml and *.yml, or - for standard input",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Reports every problem of every file, or counts the objects."""
    manifests = load_manifests(chosen.files, sys.stdin.buffer)
    counts = Counter(type(each.object).__name__ for each in manifests.documents)
    for kind, count in sorted(counts.items()):
        print(f"{kind:<14}{count:>6}  valid")
    return 0
