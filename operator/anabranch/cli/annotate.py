"""The argument that names files with what is known about addresses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from anabranch_engine import Annotations


def add_annotate_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument to a parser."""
    parser.add_argument(
        "--annotate",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="say what a file knows about addresses: AS, name, country, exchange "
        "point; an MMDB, CAIDA's prefix2as, an MRT RIB dump, or PeeringDB's JSON; may "
        "be given several times, the most trusted first",
    )


def read_annotations(chosen: argparse.Namespace) -> Annotations | None:
    """Read the files that are named, or return None if there are none.

    Raises:
        ValueError: If a file can't be used, with the place in it and the remedy.
        OSError: If a file can't be read.
    """
    from anabranch_engine import Annotations  # noqa: PLC0415 (an extra)

    return Annotations(chosen.annotate) if chosen.annotate else None
