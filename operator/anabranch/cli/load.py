"""`anabranch load`: load a run's rows into the tables of ClickHouse again."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "load a run of a cluster into ClickHouse again, from the store"
    parser = commands.add_parser(
        "load",
        help=summary,
        description=f"{summary}; the environment names both, as for a Job",
    )
    parser.add_argument("measurement", metavar="UID", help="the Measurement's UID")
    parser.add_argument("run_id", metavar="RUN", help="its runId")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Load the run; rows that are in the tables already stay as they are."""
    # Extras, which other commands do without.
    from anabranch.jobs.load import load  # noqa: PLC0415
    from anabranch.store.environment import open_store  # noqa: PLC0415
    from anabranch.store.keys import SurveyKeys  # noqa: PLC0415
    from anabranch.warehouse.environment import URL, open_warehouse  # noqa: PLC0415

    keys = SurveyKeys(chosen.measurement, chosen.run_id)
    try:
        store = open_store(os.environ)
        with (
            open_warehouse(os.environ) as warehouse,
            tempfile.TemporaryDirectory() as scratch,
        ):
            if warehouse.tables is None:
                print(f"anabranch: {URL} is not set; say where it is", file=sys.stderr)
                return 1
            for agent, steps in load(store, warehouse.tables, keys, Path(scratch)):
                print(f"{agent}: {steps} steps")
    except (LookupError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    return 0
