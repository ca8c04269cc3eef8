"""What the commands share: access to standard input and output."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path
    from typing import BinaryIO, TypeAlias

    Parser = argparse.ArgumentParser
    Commands: TypeAlias = argparse._SubParsersAction[Parser]  # noqa: SLF001
    """The type to which a command adds its parser; argparse has no public name for
    it."""

INTERRUPTED = 130
"""The exit code that shells report for a program that SIGINT ended."""


def open_stdin() -> BinaryIO:
    """Return standard input, for bytes.

    Raises:
        OSError: If the shell has closed it.
    """
    if sys.stdin is None:
        raise OSError(9, "is closed; give it something to read", "standard input")
    return sys.stdin.buffer


def open_stdout() -> BinaryIO:
    """Return standard output, for bytes.

    Raises:
        OSError: If the shell has closed it.
    """
    if sys.stdout is None:
        raise OSError(9, "is closed; give it somewhere to write", "standard output")
    return sys.stdout.buffer


def write(text: str) -> None:
    """Write text to standard output, and flush it.

    Raises:
        OSError: If it can't be written.
    """
    out = open_stdout()
    out.write(text.encode())
    out.flush()


def deliver(file: Path, output: Path | None) -> None:
    """Write the content of a file to a new file, or to standard output.

    Raises:
        OSError: If it can't be written.
    """
    with file.open("rb") as rows:
        if output:
            with output.open("xb") as out:
                shutil.copyfileobj(rows, out)
        else:
            shutil.copyfileobj(rows, open_stdout())
            open_stdout().flush()
