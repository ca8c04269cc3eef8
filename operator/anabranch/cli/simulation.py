"""The arguments that describe a simulated Internet, and what they describe."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from anabranch_engine import Simulation

    from anabranch.warehouse.survey import Survey

DESTINATIONS = "ANABRANCH_DESTINATIONS"
"""The environment variable with the destinations of topology files, in their order,
separated by blanks."""


def add_simulation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe a simulated Internet."""
    parser.add_argument(
        "--prefixes",
        type=_read_number,
        metavar="N",
        help="the number of /24s from 240.0.0.0 on; by default 1000, or 0 with "
        "--topology or --survey",
    )
    parser.add_argument(
        "--prefixes-v6",
        type=_read_number,
        metavar="N",
        help="the number of /64s from 3fff:: on; by default 200, or 0 with "
        "--topology or --survey",
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
    _add_survey_arguments(parser)
    parser.add_argument(
        "--vantage-points",
        type=_read_number,
        metavar="K",
        help="the number of vantage points, by default 1; with --survey, each agent is "
        "one",
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


def _add_survey_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a survey to make an Internet of."""
    parser.add_argument(
        "--survey",
        metavar="DIR",
        help="make the Internet that a survey found, or an archive that was imported: "
        "the folder with its results, or s3://BUCKET/PREFIX",
    )
    parser.add_argument(
        "--measurement",
        metavar="NAME",
        help="the survey's measurement, if there are several",
    )
    parser.add_argument(
        "--namespace",
        default="default",
        help="the measurement's namespace, by default default",
    )
    parser.add_argument("--run-id", help="its run, if it has several")
    parser.add_argument(
        "--agent",
        action="append",
        default=[],
        metavar="NAME",
        help="the agent whose paths the next vantage point has; can be repeated; by "
        "default all, in the order of their names",
    )


def open_simulation(chosen: argparse.Namespace) -> Simulation:
    """Return the simulated Internet that the arguments describe.

    Raises:
        OSError: If a topology file can't be read.
        LookupError: If there is no such survey, or it has no paths.
        ValueError: If an argument or a topology is invalid, or a survey is damaged.
        RuntimeError: If a query about the survey fails.
    """
    if chosen.survey is None:
        if chosen.measurement or chosen.run_id or chosen.agent:
            message = "--measurement, --run-id and --agent choose from a survey"
            raise ValueError(f"{message}; name its folder with --survey")
        return _simulate(chosen, _choose_number(chosen.vantage_points, 1))
    # Extras, which drawn Internets do without.
    from anabranch.warehouse.measured import read_measured  # noqa: PLC0415

    survey = _open_survey(chosen)
    names = _choose_agents(chosen, survey.agents)
    with survey.open_results() as results:
        agents = [results.agents[survey.agents.index(name)] for name in names]
        return _simulate(chosen, len(names), read_measured(agents))


def _simulate(
    chosen: argparse.Namespace,
    vantage_points: int,
    measured: Iterator[tuple[int, pa.Table, pa.Table]] | None = None,
) -> Simulation:
    from anabranch_engine import Simulation  # noqa: PLC0415 (an extra)

    is_given = bool(chosen.topology) or measured is not None
    return Simulation(
        prefixes_v4=_choose_number(chosen.prefixes, 0 if is_given else 1000),
        prefixes_v6=_choose_number(chosen.prefixes_v6, 0 if is_given else 200),
        vantage_points=vantage_points,
        seed=chosen.seed,
        switches=_choose_switches(chosen),
        topologies=chosen.topology,
        measured=measured,
    )


def _open_survey(chosen: argparse.Namespace) -> Survey:
    """Return the survey that the arguments name.

    Raises:
        LookupError: If there is no such run, or several.
    """
    # Extras, which drawn Internets do without.
    from anabranch.runs.finding import find_only_measurement  # noqa: PLC0415
    from anabranch.store.location import open_location  # noqa: PLC0415
    from anabranch.warehouse.survey import open_survey  # noqa: PLC0415

    name = chosen.measurement
    if not name:
        store = open_location(chosen.survey, os.environ)
        name = find_only_measurement(store, chosen.namespace)
    return open_survey(
        chosen.survey, name, namespace=chosen.namespace, run_id=chosen.run_id
    )


def _choose_agents(chosen: argparse.Namespace, there: list[str]) -> list[str]:
    """Return the names of the agents that are vantage points.

    Raises:
        LookupError: If the survey has no such agent.
        ValueError: If the number of vantage points is another one.
    """
    names: list[str] = chosen.agent or sorted(there)
    for name in names:
        if name not in there:
            message = f"there is no agent {name} in the survey"
            raise LookupError(f"{message}, only {', '.join(sorted(there))}")
    if chosen.vantage_points not in {None, len(names)}:
        raise ValueError(
            f"the survey has {len(names)} agents, and each is a vantage point; leave "
            "out --vantage-points, or choose with --agent"
        )
    return names


def _choose_number(given: int | None, usual: int) -> int:
    return usual if given is None else given


def _choose_switches(chosen: argparse.Namespace) -> dict[str, float]:
    from anabranch_engine import Simulation  # noqa: PLC0415 (an extra)

    hostile = {name: value for name, _, _, value in Simulation.switches()}
    return (hostile if chosen.hostile else {}) | dict(chosen.set)


def _read_number(text: str) -> int:
    """Read a whole number from 0 to 2^32 - 1."""
    if text.isascii() and text.isdecimal() and int(text) < 1 << 32:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be from 0 to {(1 << 32) - 1}")


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
