"""`anabranch results`: write the results of a run."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import open_stdout
from anabranch.cli.run import DATA

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "write a table of a run's results to standard output or a file"
    parser = commands.add_parser("results", help=summary, description=summary)
    add_run_arguments(parser)
    parser.add_argument(
        "--table",
        choices=(
            *("interfaces", "links", "diamonds", "paths", "replies", "rewrites"),
            *("traces", "probes"),
        ),
        default="links",
        help="the table to write, by default links; traces and probes are of the tool "
        "trace",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "parquet", "caracal-csv"),
        default="csv",
        help="the format, by default csv; caracal-csv is for replies only",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a new file to write to"
    )
    parser.set_defaults(run=run)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that identify a run."""
    parser.add_argument("measurement", metavar="NAME", help="the measurement's name")
    parser.add_argument(
        "--namespace", default="default", help="the measurement's namespace"
    )
    parser.add_argument("--run-id", help="the run, if the measurement has several")
    parser.add_argument(
        "--data",
        default=str(DATA),
        metavar="DIR",
        help="the folder with replies and results, or s3://BUCKET/PREFIX; by default "
        f"{DATA}",
    )


def run(chosen: argparse.Namespace) -> int:
    """Write a table."""
    from anabranch.warehouse.survey import open_survey  # noqa: PLC0415 (extras)

    if chosen.format == "caracal-csv" and chosen.table != "replies":
        print("anabranch: caracal-csv is a format of --table replies", file=sys.stderr)
        return 1
    try:
        survey = open_survey(
            chosen.data,
            chosen.measurement,
            namespace=chosen.namespace,
            run_id=chosen.run_id,
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "table")
            survey.write(chosen.table, chosen.format, file)
            if chosen.output:
                with chosen.output.open("xb") as out, file.open("rb") as rows:
                    shutil.copyfileobj(rows, out)
            else:
                with file.open("rb") as rows:
                    shutil.copyfileobj(rows, open_stdout())
                open_stdout().flush()
    except (LookupError, RuntimeError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    return 0
