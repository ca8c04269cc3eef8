"""What commands print: a screen once or again and again, or plain values."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.live import Live

from anabranch.cli.command import write

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from rich.console import RenderableType

_WIDTH = 160
"""The width of a screen that goes to a file, in characters."""


def add_output_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says in which form to print."""
    parser.add_argument(
        "-o",
        "--output",
        choices=("json", "yaml", "name"),
        help="print it for programs: as JSON, as YAML, or just KIND/NAME",
    )


def print_values(form: str, values: Any, names: list[str]) -> None:
    """Print plain values in a form, or just the names."""
    if form == "json":
        write(json.dumps(values, indent=2) + "\n")
    elif form == "yaml":
        write(yaml.safe_dump(values, sort_keys=False))
    else:
        write("".join(f"{name}\n" for name in names))


def print_screen(screen: RenderableType) -> None:
    """Print a screen once."""
    open_console().print(screen)


async def refresh(
    draw: Callable[[], Awaitable[tuple[RenderableType, bool]]], seconds: float
) -> None:
    """Draw a screen every so many seconds, until one is the last."""
    with Live(console=open_console(), auto_refresh=False) as live:
        while True:
            screen, is_last = await draw()
            live.update(screen, refresh=True)
            if is_last:
                return
            await asyncio.sleep(seconds)


def open_console() -> Console:
    """Open standard output, as wide as the terminal; files get what they need."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(width=None if is_terminal else _WIDTH)
