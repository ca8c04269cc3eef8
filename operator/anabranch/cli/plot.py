"""`anabranch plot`: draw the results of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.cli.results import add_run_arguments, open_chosen

if TYPE_CHECKING:
    import argparse

    from matplotlib.figure import Figure

    from anabranch.cli.command import Commands
    from anabranch.warehouse.results import Results


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plot",
        help="draw the results of a run",
        description="Draws the width and length of diamonds and "
        "the rounds in which links were found, for all agents together and for "
        "each; or the distributions of all metrics of diamonds; or the paths to one "
        "target; or the sizes of routers.",
    )
    add_run_arguments(parser)
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to draw."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--diamonds",
        action="store_true",
        help="draw the distributions of the metrics of diamonds instead",
    )
    which.add_argument(
        "--target",
        metavar="PREFIX",
        help="draw the paths to this target instead; 'largest' is the target with the "
        "most links",
    )
    parser.add_argument(
        "--routers",
        action="store_true",
        help="draw how many addresses routers have, as alias resolution found them; "
        "with --diamonds or --target, draw routers instead of interfaces",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write; its suffix selects SVG, PNG or PDF; by default "
        "NAME.svg",
    )


def run(chosen: argparse.Namespace) -> int:
    """Draw the figure to a file."""
    # Extras, which other commands do without.
    from anabranch.local.style import check_suffix, save  # noqa: PLC0415

    file = chosen.output or Path(f"{chosen.measurement}.svg")
    try:
        check_suffix(file)
        survey = open_chosen(chosen)
        with survey.open_results() as results:
            figure = _draw(results, survey.agents, chosen)
        save(figure, file)
    except (LookupError, RuntimeError, ValueError) as error:
        print(f"anabranch: {error.args[0]}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"anabranch: {error}; correct the path or its rights", file=sys.stderr)
        return 1
    write(f"{file}\n")
    return 0


def _draw(results: Results, agents: list[str], chosen: argparse.Namespace) -> Figure:
    # Extras, which other commands do without.
    from anabranch.local.distributions import draw_distributions  # noqa: PLC0415
    from anabranch.local.overview import draw_overview  # noqa: PLC0415
    from anabranch.local.pathgraph import draw_paths  # noqa: PLC0415
    from anabranch.local.routersizes import draw_sizes  # noqa: PLC0415
    from anabranch.warehouse.counts import (  # noqa: PLC0415
        count_diamonds,
        count_links,
        count_new_links,
    )
    from anabranch.warehouse.paths import merge_routers, read_paths  # noqa: PLC0415
    from anabranch.warehouse.routers import count_sizes  # noqa: PLC0415

    name: str = chosen.measurement
    nodes = "routers" if chosen.routers else "interfaces"
    if chosen.target:
        target, edges = read_paths(results, chosen.target)
        if chosen.routers:
            addresses = {address for _, *ends, _ in edges for _, address in ends}
            edges = merge_routers(edges, results.name_routers(addresses))
        return draw_paths(f"{name}: paths to {target}", agents, edges, nodes)
    if chosen.diamonds:
        found = (
            results.router_diamond_statistics
            if chosen.routers
            else results.diamond_statistics
        )
        return draw_distributions(name, found.distribute(), found.pair_sizes(), nodes)
    if chosen.routers:
        return draw_sizes(name, count_sizes(results.engine, results.find("routers")))
    return draw_overview(
        name,
        agents,
        count_diamonds(results),
        count_new_links(results),
        count_links(results),
    )
