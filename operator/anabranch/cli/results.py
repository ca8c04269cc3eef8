"""`anabranch results`: write the results of a run."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.annotate import add_annotate_argument, read_annotations
from anabranch.cli.command import deliver
from anabranch.cli.run import DATA

if TYPE_CHECKING:
    import argparse

    from anabranch_engine import Annotations

    from anabranch.cli.command import Commands
    from anabranch.warehouse.survey import Survey


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "write a table of a run's results to standard output or a file"
    parser = commands.add_parser("results", help=summary, description=summary)
    add_run_arguments(parser)
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to write."""
    parser.add_argument(
        "--table",
        choices=(
            *("interfaces", "links", "diamonds", "diamond_distributions"),
            *("diamond_sizes", "paths", "replies", "rewrites", "pings", "traces"),
            *("probes", "aliases", "routers", "router_links", "router_diamonds"),
            *("router_diamond_distributions", "router_diamond_sizes", "as_links"),
        ),
        default="links",
        help="the table to write, by default links; pings are of the tool ping, traces "
        "and probes of the tool trace, aliases and routers of its alias resolution, "
        "as_links takes --annotate",
    )
    add_annotate_argument(parser)
    parser.add_argument(
        "--format",
        choices=(*TABULAR, "caracal-csv", *TRACES, *GRAPHS, *FOLDERS),
        default="csv",
        help="the format, by default csv; caracal-csv is for replies only; instead of "
        f"a table, {', '.join(TRACES)} hold traces, {' and '.join(GRAPHS)} links as a "
        f"graph; {', '.join(FOLDERS)} write several files to a new folder",
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
        "--compress", choices=("gzip", "zstd"), help="how to compress each file"
    )
    parser.add_argument(
        "--target",
        metavar="PREFIX",
        help="the graph has only the paths to this target; 'largest' is the target "
        "with the most links",
    )
    parser.add_argument(
        "--routers",
        action="store_true",
        help="the nodes of the graph are routers, as alias resolution found them",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="a new file to write to, or a new folder",
    )


TABULAR = ("csv", "jsonl", "parquet")
"""The formats of all tables."""
TRACES = ("warts", "scamper-json", "atlas-json")
"""The formats of traces."""
GRAPHS = ("dot", "graphml")
"""The formats of graphs."""
FOLDERS = ("itdk", "yarrp", "ark")
"""The formats that are several files."""
_COMPRESSED = {"parquet", "ark"}
"""The formats whose files are compressed in any case."""


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
    parser.set_defaults(uid=None)


def open_chosen(chosen: argparse.Namespace, known: Annotations | None = None) -> Survey:
    """Open the run that arguments identify; ``known`` annotates its addresses.

    Raises:
        LookupError: If there is no such run, or several.
    """
    from anabranch.warehouse.survey import open_survey  # noqa: PLC0415 (extras)

    return open_survey(
        chosen.data,
        chosen.uid or chosen.measurement,
        namespace=chosen.namespace,
        run_id=chosen.run_id,
        known=known,
    )


def run(chosen: argparse.Namespace) -> int:
    """Write a table."""
    if reason := _find_conflict(chosen):
        print(f"anabranch: {reason}", file=sys.stderr)
        return 1
    try:
        survey = open_chosen(chosen, read_annotations(chosen))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "table")
            if chosen.format in FOLDERS:
                _write_folder(survey, chosen, Path(folder))
                return 0
            if chosen.format in TRACES:
                _write_traces(survey, chosen, file)
            else:
                file = _write_rows(survey, chosen, file)
            deliver(file, chosen.output)
    except (LookupError, RuntimeError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    return 0


def _find_conflict(chosen: argparse.Namespace) -> str | None:
    """Return which arguments do not fit together, with the remedy."""
    form = chosen.format
    conflicts = {
        "caracal-csv is a format of --table replies": (
            form == "caracal-csv" and chosen.table != "replies"
        ),
        f"{form} has no place for what is known; choose another --format": (
            chosen.annotate and form not in {*TABULAR, "itdk"}
        ),
        "which AS an address is of, a file says: name one with --annotate": (
            chosen.table == "as_links" and not chosen.annotate
        ),
        f"--routers is for graphs alone; choose --format {' or '.join(GRAPHS)}": (
            chosen.routers and form not in GRAPHS
        ),
        f"{form} is several files; name a new folder with --output": (
            form in FOLDERS and not chosen.output
        ),
        f"{form} is compressed already; leave out --compress": (
            chosen.compress and form in _COMPRESSED
        ),
    }
    return next((message for message, holds in conflicts.items() if holds), None)


def _write_traces(survey: Survey, chosen: argparse.Namespace, file: Path) -> None:
    """Write the traces of an agent.

    Raises:
        LookupError: If there is no such agent, or no replies yet.
    """
    # Extras, which other commands do without.
    from anabranch.formats.traces import TraceFormat, write_traces  # noqa: PLC0415

    names = survey.agents
    name = chosen.agent or (names[0] if len(names) == 1 else None)
    if name not in names:
        message = "a file has the traces of one agent; choose with --agent one of"
        raise LookupError(f"{message} {', '.join(names)}")
    is_multipath = chosen.paths and chosen.paths == "several"
    wanted = TraceFormat(chosen.format, chosen.compress, is_multipath)
    with survey.open_results() as results:
        agent = results.agents[names.index(name)]
        write_traces(agent, file, wanted, file.parent)


def _write_rows(survey: Survey, chosen: argparse.Namespace, file: Path) -> Path:
    """Write a table or a graph; return the file, which may be a compressed one."""
    # Extras, which other commands do without.
    from anabranch.formats.compression import compress  # noqa: PLC0415
    from anabranch.formats.graph import write_graph  # noqa: PLC0415

    if chosen.format in GRAPHS:
        with survey.open_results() as results:
            write_graph(
                results, file, chosen.format, chosen.target, of_routers=chosen.routers
            )
    else:
        survey.write(chosen.table, chosen.format, file)
    return compress(file, chosen.compress) if chosen.compress else file


def _write_folder(survey: Survey, chosen: argparse.Namespace, scratch: Path) -> None:
    """Write the files of a format to a new folder."""
    # Extras, which other commands do without.
    from anabranch.formats.ark import put_ark  # noqa: PLC0415
    from anabranch.formats.compression import compress  # noqa: PLC0415
    from anabranch.formats.itdk import write_itdk  # noqa: PLC0415
    from anabranch.formats.yarrp import write_yarrp  # noqa: PLC0415

    with survey.open_results() as results:
        if chosen.format == "itdk":
            write_itdk(results, chosen.output, scratch)
        elif chosen.format == "ark":
            put_ark(results, chosen.output, scratch)
        else:
            write_yarrp(results, chosen.output)
    if chosen.compress:
        for file in [*chosen.output.iterdir()]:
            compress(file, chosen.compress)
