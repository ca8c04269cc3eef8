"""`kubectl anabranch status`: what a Measurement or Survey is at, why, what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement, ProbingPolicy, Survey
from anabranch.plugin.output import (
    add_output_argument,
    print_screen,
    print_values,
    refresh,
)
from anabranch.plugin.progress import Pace
from anabranch.plugin.scene import find_subject, look_at
from anabranch.plugin.screen import (
    describe_scene,
    show_all,
    show_measurement,
    show_survey,
)
from anabranch.plugin.session import add_connection_arguments, converse

if TYPE_CHECKING:
    import argparse

    from rich.console import RenderableType

    from anabranch.cli.command import Commands
    from anabranch.plugin.scene import Scene
    from anabranch.plugin.session import Session

SECONDS = 2.0


def add_parser(commands: Commands, command: str) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        command,
        help="say what a Measurement or Survey is at, why, and what to do",
        description="Says what a Measurement or Survey is at: its rounds, its agents "
        "with their rates, what keeps it from going on, and what to do about it. "
        "Without a name, it lists all of them, and says what keeps agents from "
        "probing.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a Measurement, or else a Survey; or measurement/NAME, survey/NAME",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="list those everywhere"
    )
    parser.add_argument(
        "-w", "--watch", action="store_true", help="refresh it until the run is over"
    )
    add_output_argument(parser)
    add_connection_arguments(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Show it, once or again and again."""

    async def talk(session: Session) -> int:
        if chosen.name is None:
            await _tell_all(session, chosen)
        elif chosen.watch and not chosen.output:
            await _watch(session, chosen.name)
        else:
            await _tell(session, chosen)
        return 0

    return converse(chosen, talk)


async def _tell(session: Session, chosen: argparse.Namespace) -> None:
    about = await find_subject(session, chosen.name)
    scene, pace = await _look(session, about), Pace()
    pace.note(scene.rounds if scene else ())
    if chosen.output:
        name = f"{about.kind.lower()}/{about.metadata.name}"
        print_values(chosen.output, describe_scene(about, scene, pace), [name])
    else:
        print_screen(_draw(about, scene, pace))


async def _watch(session: Session, name: str) -> None:
    pace = Pace()

    async def draw() -> tuple[RenderableType, bool]:
        about = await find_subject(session, name)
        scene = await _look(session, about)
        pace.note(scene.rounds if scene else ())
        is_last = isinstance(about, Measurement) and about.is_finished
        return _draw(about, scene, pace), is_last

    await refresh(draw, SECONDS)


async def _look(session: Session, about: Measurement | Survey) -> Scene | None:
    """Return the scene of a Measurement, or of a Survey's newest active cycle."""
    if isinstance(about, Measurement):
        return await look_at(session, about)
    for cycle in reversed(about.status.active):
        if found := await session.look_up(Measurement, cycle.name):
            return await look_at(session, found)
    return None


def _draw(
    about: Measurement | Survey, scene: Scene | None, pace: Pace
) -> RenderableType:
    now = datetime.now(UTC)
    if isinstance(about, Survey):
        return show_survey(about, scene, pace, now)
    if scene is None:
        raise ValueError("a Measurement has a scene")
    return show_measurement(scene, pace, now)


async def _tell_all(session: Session, chosen: argparse.Namespace) -> None:
    where = "" if chosen.all_namespaces else session.namespace
    objects: list[Measurement | Survey] = [
        *await session.list_objects(Survey, namespace=where),
        *await session.list_objects(Measurement, namespace=where),
    ]
    if chosen.output:
        names = [f"{each.kind.lower()}/{each.metadata.name}" for each in objects]
        values = [describe_scene(each, None, Pace()) for each in objects]
        print_values(chosen.output, values, names)
        return
    policies = await session.try_list(ProbingPolicy, namespace=session.system)
    agents = await session.try_list(Agent, namespace=session.system)
    print_screen(show_all(objects, policies, agents))
