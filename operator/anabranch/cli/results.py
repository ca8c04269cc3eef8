"""`anabranch results`: write the results of a run."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.annotate import add_annotate_argument, read_annotations
from anabranch.cli.command import open_stdout
from anabranch.cli.run import DATA

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.warehouse.results import Results


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "write a table of a run's results to standard output or a file"
    parser = commands.add_parser("results", help=summary, description=summary)
    add_run_arguments(parser)
    parser.add_argument(
        "--table",
        choices=(
            *("interfaces", "links", "diamonds", "replies", "rewrites"),
            *("traces", "probes", "as_links"),
        ),
        default="links",
        help="the table to write, by default links; traces and probes are of the tool "
        "trace, as_links takes --annotate",
    )
    add_annotate_argument(parser)
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "parquet", "caracal-csv", *TRACE_FORMATS),
        default="csv",
        help="the format, by default csv; caracal-csv is for replies only; "
        f"{', '.join(TRACE_FORMATS)} hold traces instead of a table",
    )
    parser.add_argument(
        "--paths",
        choices=("single", "several"),
        help="whether a trace is of one flow, or of all flows of a target; by default "
        "as the tool traces",
    )
    parser.add_argument(
        "--agent", help="the agent whose traces to write, if the run has several"
    )
    parser.add_argument(
        "--compress", choices=("gzip", "zstd"), help="how to compress traces"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="a new file to write to"
    )
    parser.set_defaults(run=run)


TRACE_FORMATS = ("warts", "scamper-json", "atlas-json")
"""The formats that hold traces instead of a table."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that identify a run."""
    parser.add_argument("measurement", metavar="NAME", help="the measurement's name")
    parser.add_argument(
        "--namespace", default="default", help="the measurement's namespace"
    )
    parser.add_argument("--run-id", help="the run, if the measurement has several")
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        metavar="DIR",
        help=f"the folder with replies and results, by default {DATA}",
    )


def run(chosen: argparse.Namespace) -> int:
    """Write a table."""
    from anabranch.local.runs import find_runs, open_results  # noqa: PLC0415 (extras)

    if reason := _find_conflict(chosen):
        print(f"anabranch: {reason}", file=sys.stderr)
        return 1
    try:
        runs = find_runs(
            chosen.data, chosen.namespace, chosen.measurement, chosen.run_id
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "table")
            known = read_annotations(chosen)
            with open_results(chosen.data, runs, known) as results:
                if chosen.format in TRACE_FORMATS:
                    _write_traces(results, chosen, file)
                else:
                    results.write(chosen.table, chosen.format, file)
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


def _write_traces(results: Results, chosen: argparse.Namespace, file: Path) -> None:
    """Write the traces of an agent.

    Raises:
        LookupError: If there is no such agent, or no replies yet.
    """
    # Extras, which other commands do without.
    from anabranch.formats.traces import TraceFormat, write_traces  # noqa: PLC0415

    agents = {each.keys.agent: each for each in results.agents}
    name = chosen.agent or (next(iter(agents)) if len(agents) == 1 else None)
    if name not in agents:
        message = "a file has the traces of one agent; choose with --agent one of"
        raise LookupError(f"{message} {', '.join(agents)}")
    is_multipath = chosen.paths and chosen.paths == "several"
    wanted = TraceFormat(chosen.format, chosen.compress, is_multipath)
    write_traces(agents[name], file, wanted, file.parent)


def _find_conflict(chosen: argparse.Namespace) -> str | None:
    """Return which arguments do not fit together, with the remedy."""
    if chosen.format == "caracal-csv" and chosen.table != "replies":
        return "caracal-csv is a format of --table replies"
    if chosen.format in {"caracal-csv", *TRACE_FORMATS} and chosen.annotate:
        return (
            f"{chosen.format} has no place for what is known; choose another --format"
        )
    if chosen.table == "as_links" and not chosen.annotate:
        return "which AS an address is of, a file says: name one with --annotate"
    return None
