"""Manifests from files, with all references in them checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Survey, TargetList
from anabranch.api.manifest import (
    ManifestError,
    Manifests,
    Place,
    Problem,
    Source,
    read_manifests,
)
from anabranch.api.references import find_dangling
from anabranch.api.schedule import Schedule, ScheduleError
from anabranch.local.targetlist import read_target_list
from anabranch.rounds.feasibility import find_infeasible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from anabranch_engine import TargetList as Content

    from anabranch.api.manifest import Key

STDIN = "<stdin>"


def load_manifests(names: list[str], open_stdin: Callable[[], BinaryIO]) -> Manifests:
    """Load objects from files, the YAML files of folders, and standard input (``-``).

    Raises:
        ManifestError: When there are problems, with all of them.
    """
    problems: list[Problem] = []
    sources: list[Source] = []
    for read in _read_sources(names, open_stdin):
        if isinstance(read, Source):
            sources.append(read)
        else:
            problems.append(read)
    manifests = read_manifests(sources)
    # A source that could not be read may hold objects that seem to be missing.
    is_complete = not problems
    problems += manifests.broken
    if is_complete:
        problems += find_dangling(manifests)
    problems += _find_unscheduled(manifests)
    lists, unreadable = _read_lists(manifests)
    problems += unreadable
    if is_complete:
        problems += find_infeasible(manifests, lists)
    if not problems and not manifests.documents:
        place = Place(", ".join(names))
        problems.append(Problem(place, (), "no manifest there; name a file with one"))
    if problems:
        raise ManifestError(problems)
    return manifests


def _find_unscheduled(manifests: Manifests) -> Iterator[Problem]:
    """Yield a problem for each schedule that is none, though it looks like one."""
    for document in manifests.of_kind(Survey):
        spec = document.object.spec
        try:
            if spec.schedule:
                Schedule.read(spec.schedule, spec.time_zone)
        except ScheduleError as error:
            yield document.problem(("spec", error.field), str(error))


def _read_lists(manifests: Manifests) -> tuple[dict[Key, Content], list[Problem]]:
    """Read the target lists that have content; return them, and all problems."""
    lists: dict[Key, Content] = {}
    problems: list[Problem] = []
    for document in manifests.of_kind(TargetList):
        try:
            content = read_target_list(document, manifests)
        except ManifestError as error:
            problems += error.problems
        else:
            if content is not None:
                lists[document.object.key] = content
    return lists, problems


def _read_sources(
    names: list[str], open_stdin: Callable[[], BinaryIO]
) -> Iterator[Source | Problem]:
    seen: set[Path] = set()
    for name in names:
        if name == "-":
            yield Source(STDIN, open_stdin().read())
            continue
        for file in find_files(name):
            if isinstance(file, Problem):
                yield file
            elif file.resolve() not in seen:
                seen.add(file.resolve())
                yield _read_file(file)


def find_files(name: str) -> Iterator[Path | Problem]:
    """Find the file of this name, or the YAML files in the folder of this name."""
    if not name:
        yield Problem(Place("''"), (), "is no file's name; name a file or folder")
        return
    if not Path(name).is_dir():
        yield Path(name)
        return
    unreadable: list[OSError] = []
    found: list[Path] = []
    for folder, _, files in os.walk(name, onerror=unreadable.append):
        found += (Path(folder, each) for each in files)
    yield from sorted(file for file in found if file.suffix in {".yaml", ".yml"})
    for error in unreadable:
        yield _cant_read(str(error.filename), error)


def _read_file(file: Path) -> Source | Problem:
    try:
        return Source(str(file), file.read_bytes())
    except OSError as error:
        return _cant_read(str(file), error)


def _cant_read(name: str, error: OSError) -> Problem:
    message = f"can't read it: {error.strerror}; correct the path or its rights"
    return Problem(Place(name), (), message)
