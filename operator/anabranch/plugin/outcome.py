"""`kubectl anabranch results`, `plot` and `report`: what a run has found.

They are the commands of `anabranch`, for a Measurement of the cluster. The store is
read from here, so it must be one that this machine reaches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from anabranch.api import Measurement
from anabranch.plugin.session import PluginError, add_connection_arguments, converse

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.plugin.session import Session

_SUMMARIES = {
    "results": "write a table of a Measurement's results",
    "plot": "draw the results of a Measurement",
    "report": "write a page about a Measurement",
}
_STORE = (
    "name the operator's store by --data s3://BUCKET, with its endpoint in "
    "ANABRANCH_STORE_ENDPOINT"
)


def add_parser(commands: Commands, command: str) -> None:
    """Add one of the commands to the parser."""
    summary = _SUMMARIES[command]
    parser = commands.add_parser(
        command,
        help=summary,
        description=f"{summary}, as `anabranch {command}` does.",
    )
    parser.add_argument("measurement", metavar="NAME", help="the Measurement")
    parser.add_argument("--run-id", help="the run, by default the last one")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="the store, s3://BUCKET/PREFIX or a folder; by default the bucket that "
        "the Measurement's status names. ANABRANCH_STORE_ENDPOINT names an S3 that is "
        "not that of AWS",
    )
    import_module(f"anabranch.cli.{command}").add_arguments(parser)
    add_connection_arguments(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Look up the Measurement, and run the command of `anabranch`."""

    async def talk(session: Session) -> Measurement:
        return await session.find(Measurement, chosen.measurement)

    measurement = converse(chosen, talk)
    chosen.data = chosen.data or find_store(measurement)
    chosen.namespace = measurement.metadata.namespace
    chosen.uid = measurement.metadata.uid
    chosen.run_id = chosen.run_id or measurement.status.run_id
    code: int = import_module(f"anabranch.cli.{chosen.command}").run(chosen)
    return code


def find_store(measurement: Measurement) -> str:
    """Return the bucket that the status names, as a location.

    Raises:
        PluginError: When it names none yet.
    """
    for each in measurement.status.results:
        scheme, _, rest = each.uri.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"
    name = measurement.metadata.name
    raise PluginError(f"{name} has no results yet; to read what there is, {_STORE}")
