"""`anabranch simulate`: run a command in a simulated Internet."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.simulation import (
    DESTINATIONS,
    add_simulation_arguments,
    open_simulation,
)

if TYPE_CHECKING:
    from anabranch_engine import Simulation

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "simulate",
        help="run a command in a simulated Internet, in network namespaces of its own",
        description="Runs a command at a vantage point of a simulated Internet: a "
        "network namespace that can send to 240.0.0.0/4, 198.18.0.0/15, "
        "3fff::/20 and the addresses of topology files and surveys, and nowhere "
        "else. To use the other vantage points, run ip netns exec with "
        "vp2, vp3 and so on. The simulation ends with the command.",
    )
    add_simulation_arguments(parser)
    parser.add_argument(
        "--attach",
        action="append",
        default=[],
        type=_find_namespace,
        metavar="NETNS",
        help="make a network namespace of ip netns a vantage point, through a link "
        "sim0; can be repeated",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="FOLDER",
        help="write the simulated topology to a folder, as Parquet",
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run the command in the simulation, and return its exit code."""
    try:
        if chosen.attach:
            _attach(chosen)
        simulation = open_simulation(chosen)
    except (LookupError, OSError, RuntimeError, ValueError) as error:
        reason = error if isinstance(error, OSError) else error.args[0]
        print(f"anabranch: {reason}", file=sys.stderr)
        return 1
    try:
        if chosen.truth:
            simulation.write_truth(chosen.truth)
    except OSError as error:
        print(f"anabranch: can't write to {chosen.truth}: {error}", file=sys.stderr)
        return 1
    _tell_destinations(chosen.topology, simulation)
    try:
        code, received, replies, lost = simulation.run(
            chosen.command, namespaces=chosen.attach
        )
    except PermissionError:
        print("anabranch: simulate makes namespaces: run it as root", file=sys.stderr)
        return 1
    except FileExistsError:
        print(
            "anabranch: there is a link sim0 or a route to the simulated space already "
            "where --attach leads; end the other simulator, or remove it",
            file=sys.stderr,
        )
        return 1
    if lost:
        print(
            f"anabranch: the simulator could not keep up: it lost {lost:,} frames "
            f"beside {received:,} packets and {replies:,} replies",
            file=sys.stderr,
        )
    return code


def _attach(chosen: argparse.Namespace) -> None:
    """Make the attached namespaces the vantage points.

    Raises:
        ValueError: If a survey's addresses would be probed from there: when the
            simulation ends, such a namespace may have another way to them.
    """
    if chosen.survey:
        raise ValueError("--attach goes with a drawn Internet, not with --survey")
    chosen.vantage_points = len(chosen.attach)


def _tell_destinations(files: list[Path], simulation: Simulation) -> None:
    """Tell the user and the command the destinations of the topologies."""
    for file, (drawn, routed) in zip(files, simulation.destinations, strict=True):
        if drawn != routed:
            print(
                f"anabranch: {file}: nothing can be sent to its destination {drawn}; "
                f"probe {routed} instead",
                file=sys.stderr,
            )
    if files:
        routed_to = " ".join(str(routed) for _, routed in simulation.destinations)
        os.environ[DESTINATIONS] = routed_to


def _find_namespace(name: str) -> Path:
    file = Path("/run/netns") / name
    if file.is_file():
        return file
    message = f"there is no network namespace {name!r}; ip netns list shows those there"
    raise argparse.ArgumentTypeError(message)
