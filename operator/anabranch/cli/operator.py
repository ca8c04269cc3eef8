"""`anabranch operator`: serve the Measurements of a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.manifests.settings import Settings


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "serve the Measurements of a Kubernetes cluster, until SIGTERM"
    parser = commands.add_parser("operator", help=summary, description=summary)
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        metavar="FILE",
        help="the settings, which the chart writes",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8080,
        help="the port of /healthz, /readyz and /metrics, by default 8080",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run the operator; return 1 if its settings are invalid, or it had to give up."""
    # Extras, which other commands do without.
    from anabranch.control.election import LostError  # noqa: PLC0415
    from anabranch.control.operator import MissedError  # noqa: PLC0415
    from anabranch.manifests.settings import (  # noqa: PLC0415
        SettingsError,
        read_settings,
    )

    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        settings = read_settings(chosen.settings)
    except SettingsError as error:
        print(f"anabranch: {error}", file=sys.stderr)
        return 1
    code = 0
    try:
        asyncio.run(operate(settings, chosen.port))
    except* (LostError, MissedError) as errors:
        print(f"anabranch: {_find_first(errors)}", file=sys.stderr)
        code = 1
    return code


def _find_first(error: BaseException) -> BaseException:
    """Return the first error of groups within groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def operate(settings: Settings, port: int) -> None:
    """Run the operator until it is stopped."""
    # Extras, which other commands do without.
    from anabranch.cluster.client import Cluster  # noqa: PLC0415
    from anabranch.control.operator import Operator  # noqa: PLC0415
    from anabranch.store.s3 import S3Store  # noqa: PLC0415

    store = S3Store(settings.store.bucket, endpoint_url=settings.store.endpoint or None)
    cluster = await Cluster.connect()
    identity = f"{socket.gethostname()}_{os.getpid()}"
    try:
        await Operator(settings, cluster, store, identity, port).run()
    finally:
        await cluster.close()
