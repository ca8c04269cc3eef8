"""`anabranch crds`: the CustomResourceDefinitions, made from the models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from anabranch.api import KINDS
from anabranch.api.resource import GROUP
from anabranch.api.schema import MAX_BYTES, build_crd

if TYPE_CHECKING:
    import argparse

    from anabranch.api import Resource
    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Adds the command."""
    summary = "write the CustomResourceDefinitions of all kinds"
    parser = commands.add_parser("crds", help=summary, description=summary)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write a file for each kind; by default standard output",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 if a file in the folder differs",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Writes or compares the definitions."""
    texts = {f"{GROUP}_{kind.plural}.yaml": render_crd(kind) for kind in KINDS}
    folder: Path | None = chosen.output
    if folder is None:
        print("---\n".join(texts.values()), end="")
        return 0
    if not chosen.check:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
        return 0
    present = {file.name: file.read_text() for file in folder.glob("*.yaml")}
    stale = [name for name in texts | present if texts.get(name) != present.get(name)]
    for name in stale:
        print(
            f"{folder / name} is not what the models say; write it anew: anabranch "
            f"crds --output {folder}",
            file=sys.stderr,
        )
    return 1 if stale else 0


def render_crd(kind: type[Resource]) -> str:
    """The definition of a kind as YAML.

    Raises:
        ValueError: When it is larger than a definition may be.
    """
    text = yaml.safe_dump(build_crd(kind), sort_keys=False, width=88)
    if len(text) > MAX_BYTES:
        raise ValueError(f"the CRD of {kind.__name__} exceeds {MAX_BYTES} bytes")
    return text
