"""`anabranch fetch`: write an object of a cluster's store to standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands

_SETTINGS = Path("/etc/anabranch/settings.yaml")
"""The file to which the chart writes the operator's settings."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "write an object of a cluster's store to standard output"
    parser = commands.add_parser(
        "fetch", help=summary, description=f"{summary}; runs in the operator's pod"
    )
    parser.add_argument(
        "uri", metavar="URI", help="the object, as in status.results: s3://…"
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=_SETTINGS,
        metavar="FILE",
        help="the operator's settings, by default %(default)s",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write the object; return 1 if its URI is not in the operator's store."""
    # Extras, which other commands do without.
    from anabranch.manifests.settings import (  # noqa: PLC0415
        SettingsError,
        read_settings,
    )
    from anabranch.store.s3 import S3Store  # noqa: PLC0415

    try:
        settings = read_settings(chosen.settings).store
    except SettingsError as error:
        print(f"anabranch: {error}", file=sys.stderr)
        return 1
    begin = f"s3://{settings.bucket}/"
    if not chosen.uri.startswith(begin):
        told = f"{chosen.uri!r} does not begin with {begin}, which is the store"
        print(f"anabranch: {told}", file=sys.stderr)
        return 1
    store = S3Store(settings.bucket, endpoint_url=settings.endpoint or None)
    key = chosen.uri.removeprefix(begin)
    try:
        store.copy(key, sys.stdout.buffer)
    except FileNotFoundError as error:
        told = "there is no such object; if it was there, its run was removed since"
        raise FileNotFoundError(error.errno, told, key) from error
    return 0
