"""`anabranch diff`: compare two surveys."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import deliver, write
from anabranch.cli.run import DATA

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.warehouse.survey import Survey


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diff",
        help="compare two surveys: what came, went or changed",
        description="Compares the interfaces, links and diamonds that two surveys "
        "found, all agents together. Of each link that went, it says how probable it "
        "is that the second survey only missed it. Without --table it prints a "
        "summary.",
    )
    for name, what in (("before", "first"), ("after", "second")):
        parser.add_argument(
            name,
            metavar=f"{name.upper()}",
            help=f"the {what} survey: NAME, or NAME/RUN-ID if it has several runs",
        )
    parser.add_argument(
        "--namespace", default="default", help="the measurements' namespace"
    )
    parser.add_argument(
        "--data",
        default=str(DATA),
        metavar="DIR",
        help="the folder with replies and results, or s3://BUCKET/PREFIX; by default "
        f"{DATA}",
    )
    parser.add_argument(
        "--after-data",
        metavar="DIR",
        help="the same of the second survey, if it is elsewhere",
    )
    parser.add_argument(
        "--failure-probability",
        type=float,
        default=0.05,
        metavar="P",
        help="a link that went is said to be gone if the probability that it was only "
        "missed is at most this, by default %(default)s",
    )
    parser.add_argument(
        "--table",
        choices=("interfaces", "links", "diamonds"),
        help="write all that differs in this table",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "parquet"),
        default="csv",
        help="the format of the table, by default csv",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a new file to write the table to"
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write a table of what differs, or a summary."""
    # Extras, which other commands do without.
    from anabranch.warehouse.rows import write_rows  # noqa: PLC0415
    from anabranch.warehouse.survey import open_difference  # noqa: PLC0415

    if not 0 < chosen.failure_probability < 1:
        told = f"must be between 0 and 1, not {chosen.failure_probability:g}"
        print(f"anabranch: --failure-probability {told}", file=sys.stderr)
        return 1
    try:
        before = _open(chosen, chosen.before, chosen.data)
        after = _open(chosen, chosen.after, chosen.after_data or chosen.data)
        with (
            open_difference(before, after, chosen.failure_probability) as difference,
            tempfile.TemporaryDirectory() as folder,
        ):
            if chosen.table is None:
                for table in ("interfaces", "links", "diamonds"):
                    write(f"{table}: {_describe(difference.count(table))}\n")
                return 0
            file = Path(folder, "table")
            query = difference.select(chosen.table)
            write_rows(difference.engine, query, chosen.format, file)
            deliver(file, chosen.output)
    except (LookupError, RuntimeError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    return 0


def _open(chosen: argparse.Namespace, named: str, data: str) -> Survey:
    from anabranch.warehouse.survey import open_survey  # noqa: PLC0415

    name, _, run_id = named.partition("/")
    return open_survey(data, name, namespace=chosen.namespace, run_id=run_id or None)


def _describe(counts: dict[str, int]) -> str:
    went = f"{counts['went']:,} went"
    if "gone" in counts:
        unsure = counts["went"] - counts["gone"]
        went += f" ({counts['gone']:,} gone, {unsure:,} perhaps only missed)"
    return (
        f"{counts['same']:,} the same, {counts['came']:,} came, {went}, "
        f"{counts['changed']:,} changed"
    )
