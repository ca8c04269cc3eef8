"""`kubectl anabranch top`: who probes how fast, and what comes back."""

from __future__ import annotations

import sys
from argparse import BooleanOptionalAction
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from anabranch.api import Measurement
from anabranch.manifests.labels import MEASUREMENT
from anabranch.plugin.board import show_board
from anabranch.plugin.output import print_screen, refresh
from anabranch.plugin.progress import Pace
from anabranch.plugin.scene import list_rounds
from anabranch.plugin.session import add_connection_arguments, converse

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

    from anabranch.cli.command import Commands
    from anabranch.plugin.session import Session


def add_parser(commands: Commands, command: str) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        command,
        help="show who probes how fast, and what comes back",
        description="Shows, for each agent of each Measurement: its progress, its rate "
        "beside the granted one, the last rates as a curve, and which share of its "
        "probes was answered. It refreshes itself in a terminal, until Ctrl-C. Agents "
        "report about every ten seconds; rates are means between two reports.",
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="only this Measurement's agents"
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="show those everywhere"
    )
    parser.add_argument(
        "--all", action="store_true", help="also show agents that have nothing to do"
    )
    parser.add_argument(
        "-w",
        "--watch",
        action=BooleanOptionalAction,
        help="whether to refresh it; by default only in a terminal",
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="the time between two looks, by default 2 s",
    )
    add_connection_arguments(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Show it, once or again and again."""
    watches: bool | None = chosen.watch
    if watches is None:
        watches = sys.stdout is not None and sys.stdout.isatty()

    async def talk(session: Session) -> int:
        where = "" if chosen.all_namespaces else session.namespace
        selector = ""
        if chosen.name:
            where = session.namespace
            measurement = await session.find(Measurement, chosen.name)
            selector = f"{MEASUREMENT}={measurement.metadata.uid}"
        pace = Pace()

        async def draw() -> tuple[RenderableType, bool]:
            rounds = await list_rounds(session, where, selector)
            pace.note(rounds)
            now = datetime.now(UTC)
            return show_board(rounds, pace, now, every=chosen.all), False

        if watches:
            await refresh(draw, chosen.interval)
        else:
            screen, _ = await draw()
            print_screen(screen)
        return 0

    return converse(chosen, talk)
