"""`anabranch targets`: what a target list stands for."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch_engine import PrefixSet, TargetList, TargetListError

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Adds the command."""
    summary = "check a target list and count the targets that it stands for"
    parser = commands.add_parser("targets", help=summary, description=summary)
    parser.add_argument(
        "list",
        metavar="LIST",
        help="lines of target,protocol,min_ttl,max_ttl,n_initial_flows, plain or zstd; "
        "- for standard input",
    )
    parser.add_argument("--prefix-len-v4", type=int, default=24, metavar="BITS")
    parser.add_argument("--prefix-len-v6", type=int, default=64, metavar="BITS")
    parser.add_argument(
        "--allow-reserved",
        action="store_true",
        help="count space that is not globally reachable too",
    )
    parser.add_argument(
        "--csv",
        action="store_true",
        help="print the canonical list instead: merged and sorted, as its digest is of",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Prints the counts, the canonical list, or the bad lines."""
    with contextlib.ExitStack() as stack:
        file = sys.stdin.buffer
        if chosen.list != "-":
            file = stack.enter_context(Path(chosen.list).open("rb"))
        try:
            targets = TargetList.read(file)
        except TargetListError as error:
            print(f"{error}\n{chosen.list}: nothing is used", file=sys.stderr)
            return 1
    if chosen.csv:
        targets.write_csv(sys.stdout.buffer)
        return 0
    forbidden = PrefixSet() if chosen.allow_reserved else PrefixSet.reserved()
    lengths = (chosen.prefix_len_v4, chosen.prefix_len_v6)
    try:
        split = targets.split(*lengths, forbidden=forbidden)
    except ValueError as error:
        print(f"{chosen.list}: {error}", file=sys.stderr)
        return 1
    for name, value in {
        "digest": targets.digest(),
        "lines": f"{targets.lines:,}",
        "entries": f"{len(targets):,}",
        "targets": f"{len(split):,} of /{lengths[0]} and /{lengths[1]}",
        "excluded": f"{split.excluded:,}",
        "partly excluded": f"{split.partly_excluded:,}",
    }.items():
        print(f"{name:<17}{value}")
    return 0
