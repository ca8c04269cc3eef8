"""Files that were written plain, compressed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

if TYPE_CHECKING:
    from pathlib import Path

Compression = Literal["gzip", "zstd"]
"""How files are compressed."""
ENDS: dict[Compression, str] = {"gzip": ".gz", "zstd": ".zst"}
"""What the names of files end with, by how they are compressed."""


def compress(file: Path, compression: Compression) -> Path:
    """Compress a file to a new one beside it, which replaces it; return its path.

    Raises:
        OSError: If it can't be written.
    """
    packed = file.with_name(file.name + ENDS[compression])
    with (
        file.open("rb") as plain,
        pa.output_stream(str(packed), compression=compression) as out,
    ):
        shutil.copyfileobj(plain, out)
    file.unlink()
    return packed
