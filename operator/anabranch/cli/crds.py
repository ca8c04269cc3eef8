"""`anabranch crds`: write the CustomResourceDefinitions of the models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from anabranch.api import KINDS
from anabranch.api.resource import GROUP
from anabranch.api.schema import MAX_BYTES, build_crd
from anabranch.cli.command import write

if TYPE_CHECKING:
    import argparse

    from anabranch.api import Resource
    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "write the CustomResourceDefinitions of all kinds to standard output"
    parser = commands.add_parser("crds", help=summary, description=summary)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write one file for each kind to a folder instead",
    )
    instead.add_argument(
        "--check",
        type=Path,
        metavar="FOLDER",
        help="write nothing; exit with 1 if a folder's files differ",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write the definitions, or compare them with a folder."""
    texts = {f"{GROUP}_{kind.plural}.yaml": render_crd(kind) for kind in KINDS}
    if chosen.check:
        return check_folder(chosen.check, texts)
    if not chosen.output:
        write("---\n".join(texts.values()))
        return 0
    chosen.output.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (chosen.output / name).write_text(text)
    return 0


def check_folder(folder: Path, texts: dict[str, str]) -> int:
    """Report the files of a folder that differ; return 1 if there are any, else 0."""
    present = {file.name: file.read_bytes() for file in folder.glob(f"{GROUP}_*.yaml")}
    stale = [name for name in texts if present.get(name) != texts[name].encode()]
    for name in stale:
        remedy = f"write it anew: anabranch crds --output {folder}"
        print(f"{folder / name} is not what the models say; {remedy}", file=sys.stderr)
    left_over = sorted(present.keys() - texts.keys())
    for name in left_over:
        print(f"{folder / name} is of no kind; remove it", file=sys.stderr)
    return 1 if stale or left_over else 0


def render_crd(kind: type[Resource]) -> str:
    """Return the definition of a kind as YAML.

    Raises:
        ValueError: If it is larger than `MAX_BYTES`.
    """
    text = yaml.safe_dump(build_crd(kind), sort_keys=False, width=88)
    if len(text) > MAX_BYTES:
        raise ValueError(f"the CRD of {kind.__name__} exceeds {MAX_BYTES} bytes")
    return text
