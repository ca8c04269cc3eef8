"""Keep arrays in files, which are mapped into memory when they are read."""

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


def write_arrays(arrays: Crossings | Sent, folder: Path) -> None:
    """Write each array to a file of a folder, which is made."""
    folder.mkdir()
    for field in fields(arrays):
        np.save(folder / f"{field.name}.npy", getattr(arrays, field.name))


def read_arrays(kind: type[Arrays], folder: Path) -> Arrays:
    """Return what ``write_arrays`` wrote. Nothing is read before it is used."""
    found = {
        field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r")
        for field in fields(kind)
    }
    return kind(**found)
