"""`anabranch purge`: remove runs that are too old, or take too much."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from anabranch.cli.command import write
from anabranch.cli.run import DATA
from anabranch.runs.retention import Retention, choose, read_age, read_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from anabranch.cli.command import Commands
    from anabranch.runs.retention import Removal
    from anabranch.runs.stock import StoredRun
    from anabranch.store.store import Store

T = TypeVar("T")

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "remove runs that are too old, or take too much, from a store"
    parser = commands.add_parser(
        "purge",
        help=summary,
        description="Says which runs would be removed from a store, and why; with "
        "--yes, removes them. Cycles of a cluster's Surveys stay, as the Surveys' own "
        "retention says; so does a run that has not ended, as long as it puts objects, "
        "and by size one that ended less than a day ago. A removal that was "
        "interrupted goes on. The environment names the S3 and the ClickHouse server, "
        "as for a Job.",
    )
    parser.add_argument(
        "--data",
        default=str(DATA),
        metavar="DIR",
        help=f"the folder with the runs, or s3://BUCKET/PREFIX; by default {DATA}",
    )
    parser.add_argument(
        "--older-than",
        type=_parse(read_age),
        metavar="AGE",
        help="remove runs that ended longer ago than so many days or weeks, such as "
        "90d or 52w; one that has not ended is as old as its newest object",
    )
    parser.add_argument(
        "--keep-size",
        type=_parse(read_size),
        metavar="SIZE",
        help="remove the runs that ended first, until all runs together take no more "
        "than this, such as 500Gi",
    )
    parser.add_argument(
        "--yes", action="store_true", help="remove them; otherwise, only say which"
    )
    parser.set_defaults(run=run)


def _parse(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a reader of an argument whose errors argparse shows."""

    def parse(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def run(chosen: argparse.Namespace) -> int:
    """Say which runs go, and remove them if that is asked for."""
    from anabranch.store.location import open_location  # noqa: PLC0415 (an extra)

    try:
        store = open_location(chosen.data, os.environ)
        return _purge(store, chosen)
    except (LookupError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1


def _purge(store: Store, chosen: argparse.Namespace) -> int:
    # An extra, which other commands do without.
    from anabranch.runs.stock import take_stock  # noqa: PLC0415

    runs = take_stock(store)
    kept = Retention(chosen.older_than, chosen.keep_size)
    removals = list(choose(runs, kept, datetime.now(UTC)))
    if removals:
        write(_list(removals))
    write(_sum_up(runs, removals, kept))
    if not chosen.yes:
        if removals:
            write("nothing is removed; say --yes to remove them\n")
        return 0
    return _remove(store, removals)


def _remove(store: Store, removals: Iterable[Removal]) -> int:
    """Remove runs; return 1 if one of them is in use, and stays."""
    from anabranch.jobs.removal import remove_run  # noqa: PLC0415 (extras)
    from anabranch.local.assignment import RunError  # noqa: PLC0415
    from anabranch.runs.stock import goes_on  # noqa: PLC0415
    from anabranch.warehouse.environment import open_tables  # noqa: PLC0415

    code = 0
    with open_tables(os.environ) as tables:
        for removal in removals:
            found = removal.run
            name = f"{found.keys.measurement} {found.keys.run_id}"
            try:
                with _lock(store, found.keys.measurement):
                    if goes_on(store, found):
                        write(f"{name}: stays, since it goes on\n")
                        continue
                    remove_run(store, tables, found)
            except RunError as error:
                print(f"anabranch: {name}: {error}", file=sys.stderr)
                code = 1
                continue
            write(f"{name}: removed\n")
    return code


def _lock(store: Store, measurement: str) -> AbstractContextManager[None]:
    """Keep a local run from going on meanwhile."""
    from anabranch.local.datalock import lock_data  # noqa: PLC0415 (an extra)
    from anabranch.store.directory import DirectoryStore  # noqa: PLC0415

    if isinstance(store, DirectoryStore):
        return lock_data(store.root, measurement)
    return nullcontext()


def _list(removals: list[Removal]) -> str:
    """Return a table of the runs that go."""
    rows = [("MEASUREMENT", "RUN", "ENDED", "OBJECTS", "SIZE", "WHY")]
    for removal in removals:
        found = removal.run
        rows.append(
            (
                found.keys.measurement,
                found.keys.run_id,
                f"{found.ended:%Y-%m-%dT%H:%MZ}" if found.ended else "-",
                f"{found.objects:,}",
                _tell_size(found.size),
                removal.reason,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _sum_up(runs: list[StoredRun], removals: list[Removal], kept: Retention) -> str:
    """Return how much goes, and what stays for other reasons than age and size."""
    going = {removal.run.keys for removal in removals}
    staying = [found for found in runs if found.keys not in going]
    cycles = [found for found in staying if found.survey]
    others = [found for found in staying if not found.survey and not found.ended]
    lines = [
        f"{_count([each.run for each in removals])} of {_count(runs)} to be removed",
        f"{_count(staying)} to stay, of which Surveys keep {_count(cycles)}, and "
        f"{_count(others)} not ended",
    ]
    size = sum(found.size for found in staying)
    if kept.keep_size is not None and size > kept.keep_size:
        lines.append(
            f"what stays is more than {_tell_size(kept.keep_size)}: a run stays for a "
            "day after its end; for cycles, set retention in their Surveys; for what "
            "has not ended, give --older-than"
        )
    return "".join(f"{line}\n" for line in lines)


def _count(runs: list[StoredRun]) -> str:
    size = sum(found.size for found in runs)
    return f"{len(runs):,} run{'s' * (len(runs) != 1)} ({_tell_size(size)})"


def _tell_size(size: int) -> str:
    """Return a number of bytes in the unit that people read."""
    power = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    shown = f"{size / 1024**power:,.1f}" if power else f"{size}"
    return f"{shown} {_UNITS[power]}"
