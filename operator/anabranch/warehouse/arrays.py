"""Keep arrays in a file, which is mapped into memory when it is read."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.rounds.crossings import Crossings
    from anabranch.rounds.sent import Sent

Arrays = TypeVar("Arrays", bound="Crossings | Sent")
"""A dataclass whose fields are arrays."""


def write_arrays(arrays: Crossings | Sent, path: Path) -> None:
    """Write the arrays to a new file, one after the other in NumPy's format."""
    with path.open("xb") as file:
        for field in fields(arrays):
            np.save(file, getattr(arrays, field.name))


def read_arrays(kind: type[Arrays], path: Path) -> Arrays:
    """Return what ``write_arrays`` wrote. No array is read before it is used."""
    found = {}
    with path.open("rb") as file:
        for field in fields(kind):
            np.lib.format.read_magic(file)
            shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
            array = np.memmap(
                file, dtype, "r", start, shape, order="F" if by_column else "C"
            )
            file.seek(start + array.nbytes)
            found[field.name] = array
    return kind(**found)
