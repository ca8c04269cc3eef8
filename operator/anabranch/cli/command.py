"""What commands share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO, TypeAlias

    Parser = argparse.ArgumentParser
    Commands: TypeAlias = argparse._SubParsersAction[Parser]  # noqa: SLF001
    """Where a command adds its parser; argparse has no public name for it."""


def open_stdin() -> BinaryIO:
    """Standard input.

    Raises:
        OSError: When the shell has closed it.
    """
    if sys.stdin is None:
        raise OSError(9, "is closed; give it something to read", "standard input")
    return sys.stdin.buffer


def open_stdout() -> BinaryIO:
    """Standard output, for bytes.

    Raises:
        OSError: When the shell has closed it.
    """
    if sys.stdout is None:
        raise OSError(9, "is closed; give it somewhere to write", "standard output")
    return sys.stdout.buffer


def write(text: str) -> None:
    """Writes lines to standard output.

    Raises:
        OSError: When they can't be written.
    """
    out = open_stdout()
    out.write(text.encode())
    out.flush()
