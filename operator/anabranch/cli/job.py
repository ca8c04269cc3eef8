"""`anabranch job`: the command that the operator's Jobs run."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands

_TERMINATION_LOG = Path("/dev/termination-log")
_MAX_MESSAGE = 4096
"""The most characters of a termination message that Kubernetes keeps."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "do the work of a Job; the environment names the store"
    parser = commands.add_parser("job", help=summary, description=summary)
    jobs = parser.add_subparsers(title="jobs", required=True, metavar="JOB")
    of_list = jobs.add_parser("list", help="check a TargetList of the cluster")
    of_list.add_argument("--namespace", required=True)
    of_list.add_argument("--name", required=True)
    of_list.add_argument("--report", required=True, metavar="KEY")
    of_list.set_defaults(run=run, job="list")
    removal = jobs.add_parser("remove", help="remove the objects of old cycles")
    removal.add_argument("--survey", required=True, metavar="UID")
    removal.add_argument("cycles", nargs="+", type=int, metavar="CYCLE")
    removal.set_defaults(run=run, job="remove")
    for name, summary in (
        ("count", "count the probes that an agent would send"),
        ("begin", "plan the first step of an agent's run"),
        ("conclude", "find the links of a step, and plan the next step"),
        ("results", "gather the results of all agents"),
    ):
        job = jobs.add_parser(name, help=summary)
        job.add_argument("--measurement", required=True, metavar="UID")
        job.add_argument("--run-id", required=True, metavar="ID")
        job.set_defaults(run=run, job=name)
        if name == "results":
            job.add_argument("agents", nargs="+", metavar="AGENT")
            continue
        job.add_argument("--agent", required=True, metavar="NAME")
        if name == "count":
            job.add_argument("--part", required=True, metavar="PART")
        if name == "conclude":
            job.add_argument("--step", required=True, metavar="ROUND-WINDOW")
            job.add_argument(
                "--last", action="store_true", help="do not plan a next step"
            )
            job.add_argument(
                "--workers", type=int, default=1, help="how many pods share the work"
            )


def run(chosen: argparse.Namespace) -> int:
    """Do the job, and on failure write the reason as the termination message too."""
    # Extras, which other commands do without.
    from anabranch.jobs.work import WORK  # noqa: PLC0415
    from anabranch.runs.report import (  # noqa: PLC0415
        AWAY,
        REFUSED,
        RefusedError,
    )
    from anabranch.store.environment import open_store  # noqa: PLC0415
    from anabranch.store.s3 import StoreError  # noqa: PLC0415
    from anabranch.warehouse.engine import ServerAwayError  # noqa: PLC0415

    try:
        with tempfile.TemporaryDirectory() as scratch:
            WORK[chosen.job](chosen, open_store(os.environ), Path(scratch))
    except (LookupError, OSError, RuntimeError, ValueError) as error:
        message = str(error.args[0] if isinstance(error, LookupError) else error)
        print(f"anabranch: {message}", file=sys.stderr)
        if _TERMINATION_LOG.exists():
            _TERMINATION_LOG.write_text(message[:_MAX_MESSAGE])
        if isinstance(error, StoreError | ServerAwayError):
            return AWAY
        return REFUSED if isinstance(error, RefusedError) else 1
    return 0
