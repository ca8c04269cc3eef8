"""The lock that keeps two processes from one measurement's data."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anabranch.local.assignment import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lock_data(root: Path, measurement: str) -> Iterator[None]:
    """Keep other processes from running a measurement with the same data.

    ``measurement`` is its UID in the folder.

    Raises:
        RunError: When one does.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{measurement}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another process runs this measurement with the data in {root}; "
                "stop it, or name another folder with --data"
            ) from None
        yield
