"""Manifests from files, with all that they name checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anabranch.api import TargetList
from anabranch.api.manifest import (
    ManifestError,
    Manifests,
    Place,
    Problem,
    Source,
    read_manifests,
)
from anabranch.api.references import find_dangling
from anabranch.local.targetlist import read_target_list

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = "<stdin>"


def load_manifests(names: list[str], stdin: BinaryIO) -> Manifests:
    """The objects of files, of the YAML files of folders, and of ``-``: standard input.

    Raises:
        ManifestError: With all problems of all of them.
    """
    problems: list[Problem] = []
    sources: list[Source] = []
    for read in _read_sources(names, stdin):
        if isinstance(read, Source):
            sources.append(read)
        else:
            problems.append(read)
    manifests = read_manifests(sources)
    problems += [*manifests.broken, *find_dangling(manifests)]
    for document in manifests.of_kind(TargetList):
        try:
            read_target_list(document, manifests)
        except ManifestError as error:
            problems += error.problems
    if not problems and not manifests.documents:
        place = Place(", ".join(names))
        problems.append(Problem(place, (), "no manifest there; name a file with one"))
    if problems:
        raise ManifestError(problems)
    return manifests


def _read_sources(names: list[str], stdin: BinaryIO) -> Iterator[Source | Problem]:
    for name in names:
        if name == "-":
            yield Source(STDIN, stdin.read())
            continue
        path = Path(name)
        files = [path]
        if path.is_dir():
            found = path.rglob("*")
            files = sorted(file for file in found if file.suffix in {".yaml", ".yml"})
        for file in files:
            try:
                yield Source(str(file), file.read_bytes())
            except OSError as error:
                message = f"can't read it: {error.strerror}; correct the path"
                yield Problem(Place(str(file)), (), message)
