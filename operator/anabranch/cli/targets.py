"""`anabranch targets`: check a target list and count its targets."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import open_stdin, open_stdout, write

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "check a target list and count the targets that it stands for"
    parser = commands.add_parser("targets", help=summary, description=summary)
    parser.add_argument(
        "list",
        metavar="LIST",
        help="a file with lines of target,protocol,min_ttl,max_ttl,n_initial_flows, "
        "plain or compressed with zstd; - for standard input",
    )
    for family, default, longest in (("v4", 24, 32), ("v6", 64, 128)):
        parser.add_argument(
            f"--prefix-len-{family}",
            type=int,
            choices=range(longest + 1),
            default=default,
            metavar="BITS",
            help=f"the length to which IP{family} prefixes are split, by default "
            f"{default}",
        )
    parser.add_argument(
        "--allow-reserved",
        action="store_true",
        help="also count targets that are not globally reachable",
    )
    parser.add_argument(
        "--csv",
        action="store_true",
        help="print the canonical list instead: merged and sorted; the digest is its "
        "hash",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the counts, the canonical list, or the invalid lines."""
    from anabranch_engine import (  # noqa: PLC0415 (an extra)
        PrefixSet,
        TargetList,
        TargetListError,
    )

    with contextlib.ExitStack() as stack:
        if chosen.list == "-":
            file = open_stdin()
        else:
            file = stack.enter_context(Path(chosen.list).open("rb"))
        try:
            targets = TargetList.read(file)
        except TargetListError as error:
            print(f"{error}\n{chosen.list}: nothing is used", file=sys.stderr)
            return 1
    if chosen.csv:
        targets.write_csv(open_stdout())
        return 0
    forbidden = [] if chosen.allow_reserved else [PrefixSet.reserved()]
    lengths = (chosen.prefix_len_v4, chosen.prefix_len_v6)
    try:
        split = targets.split(*lengths, forbidden=forbidden)
    except ValueError as error:
        print(f"{chosen.list}: {error}", file=sys.stderr)
        return 1
    counts = {
        "digest": targets.digest(),
        "lines": f"{targets.lines:,}",
        "entries": f"{len(targets):,}",
        "targets": f"{len(split):,} of /{lengths[0]} and /{lengths[1]}",
        "excluded": f"{sum(split.excluded):,}",
        "partly excluded": f"{split.partly_excluded:,}",
    }
    write("".join(f"{name:<17}{value}\n" for name, value in counts.items()))
    return 0
