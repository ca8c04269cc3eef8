"""The target lists of a local run, read from manifests and files."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch_engine import TargetList, TargetListError

from anabranch.api.configmap import ConfigMap
from anabranch.api.manifest import ManifestError
from anabranch.rounds.targets import read_content, read_entries

if TYPE_CHECKING:
    from anabranch.api import TargetList as TargetListObject
    from anabranch.api.manifest import Document, Manifests


def read_target_list(
    document: Document[TargetListObject], manifests: Manifests
) -> TargetList | None:
    """Read the content of a list; return None if no manifest or file has it.

    A file's path is relative to the folder of the manifest that names it.

    Raises:
        ManifestError: When lines are bad or the file can't be read, with the reasons.
    """
    path = document.object.spec.path
    try:
        return _read(document, manifests)
    except TargetListError as error:
        problems = [
            document.problem(path, f"line {line} of the list: {reason}")
            for line, reason in error.problems
        ]
        if more := error.total - len(problems):
            problems.append(document.problem(path, f"and {more} more"))
        raise ManifestError(problems) from error
    except ValueError as error:
        raise ManifestError([document.problem(path, str(error))]) from error
    except OSError as error:
        message = f"can't read {error.filename}: {error.strerror}; correct the path"
        raise ManifestError([document.problem(path, message)]) from error


def _read(
    document: Document[TargetListObject], manifests: Manifests
) -> TargetList | None:
    spec = document.object.spec
    if spec.entries is not None:
        return read_entries(spec.entries)
    place = spec.place
    if place.config_map is not None:
        key = (document.object.metadata.namespace, place.config_map.name)
        found = manifests.find(ConfigMap, key)
        content = found.object.content(place.config_map.key) if found else None
        return None if content is None else read_content(spec, io.BytesIO(content))
    if place.file is not None:
        path = Path(document.place.source).parent / place.file
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        with path.open("rb") as file:
            return read_content(spec, file)
    return None
