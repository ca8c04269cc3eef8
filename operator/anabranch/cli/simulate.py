"""`anabranch simulate`: run a command in a simulated Internet."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch_engine import Simulation

    from anabranch.cli.command import Commands

DESTINATIONS = "ANABRANCH_DESTINATIONS"
"""The environment variable with the destinations of topology files, in their order,
separated by blanks."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "simulate",
        help="run a command in a simulated Internet, in network namespaces of its own",
        description="Runs a command at a vantage point of a simulated Internet: a "
        "network namespace that can send to 240.0.0.0/4, 198.18.0.0/15, "
        "3fff::/20 and the addresses of topology files, and nowhere "
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


def add_simulation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe a simulated Internet."""
    parser.add_argument(
        "--prefixes",
        type=_read_number,
        metavar="N",
        help="the number of /24s from 240.0.0.0 on; by default 1000, or 0 with "
        "--topology",
    )
    parser.add_argument(
        "--prefixes-v6",
        type=_read_number,
        metavar="N",
        help="the number of /64s from 3fff:: on; by default 200, or 0 with --topology",
    )
    parser.add_argument(
        "--topology",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a file in Fakeroute's format with the links from a vantage point to a "
        f"destination; can be repeated. {DESTINATIONS} tells the command the "
        "destinations",
    )
    parser.add_argument(
        "--vantage-points",
        type=_read_number,
        default=1,
        metavar="K",
        help="the number of vantage points, by default 1",
    )
    parser.add_argument(
        "--seed",
        type=_read_number,
        default=1,
        metavar="S",
        help="the seed of all random choices, by default 1",
    )
    parser.add_argument(
        "--hostile",
        action="store_true",
        help="turn on everything that hinders measuring",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_read_switch,
        metavar="NAME=VALUE",
        help="a trait of the network; --set help lists them",
    )


def open_simulation(chosen: argparse.Namespace) -> Simulation:
    """Return the simulated Internet that the arguments describe.

    Raises:
        OSError: If a topology file can't be read.
        ValueError: If an argument or a topology is invalid.
    """
    from anabranch_engine import Simulation  # noqa: PLC0415 (an extra)

    return Simulation(
        prefixes_v4=_choose_number(chosen.prefixes, 1000, chosen.topology),
        prefixes_v6=_choose_number(chosen.prefixes_v6, 200, chosen.topology),
        vantage_points=chosen.vantage_points,
        seed=chosen.seed,
        switches=_choose_switches(chosen),
        topologies=chosen.topology,
    )


def run(chosen: argparse.Namespace) -> int:
    """Run the command in the simulation, and return its exit code."""
    if chosen.attach:
        chosen.vantage_points = len(chosen.attach)
    try:
        simulation = open_simulation(chosen)
    except (OSError, ValueError) as error:
        print(f"anabranch: {error}", file=sys.stderr)
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


def _choose_number(given: int | None, usual: int, topologies: list[Path]) -> int:
    """Return the given number, else the usual one, or 0 if there are topologies."""
    if given is not None:
        return given
    return 0 if topologies else usual


def _choose_switches(chosen: argparse.Namespace) -> dict[str, float]:
    from anabranch_engine import Simulation  # noqa: PLC0415 (an extra)

    hostile = {name: value for name, _, _, value in Simulation.switches()}
    return (hostile if chosen.hostile else {}) | dict(chosen.set)


def _read_number(text: str) -> int:
    """Read a whole number from 0 to 2^32 - 1."""
    if text.isascii() and text.isdecimal() and int(text) < 1 << 32:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be from 0 to {(1 << 32) - 1}")


def _find_namespace(name: str) -> Path:
    file = Path("/run/netns") / name
    if file.is_file():
        return file
    message = f"there is no network namespace {name!r}; ip netns list shows those there"
    raise argparse.ArgumentTypeError(message)


def _read_switch(text: str) -> tuple[str, float]:
    if text == "help":
        from anabranch_engine import Simulation  # noqa: PLC0415 (an extra)

        lines = [
            f"{name:<16} {value:>5g}, hostile {hard:>5g}: {says}"
            for name, says, value, hard in Simulation.switches()
        ]
        raise argparse.ArgumentTypeError("the switches are\n" + "\n".join(lines))
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        message = f"{text!r} must be NAME=NUMBER; --set help lists the names"
        raise argparse.ArgumentTypeError(message) from None
