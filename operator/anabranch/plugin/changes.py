"""`kubectl anabranch suspend`, `resume` and `rerun`: change a spec."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from anabranch.api import Measurement, Survey
from anabranch.cli.command import write
from anabranch.cluster.client import MERGE
from anabranch.cluster.objects import Place
from anabranch.plugin.output import add_output_argument, print_values
from anabranch.plugin.scene import find_subject
from anabranch.plugin.session import (
    FIELD_MANAGER,
    PluginError,
    add_connection_arguments,
    converse,
)

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands
    from anabranch.plugin.session import Session

_SUMMARIES = {
    "suspend": "pause a Measurement, or start no more cycles of a Survey",
    "resume": "let a suspended Measurement or Survey go on",
    "rerun": "run a Measurement again, under a new runId",
}
_LONGEST_RUN_ID = 32


def add_parser(commands: Commands, command: str) -> None:
    """Add one of the commands to the parser."""
    summary = _SUMMARIES[command]
    parser = commands.add_parser(command, help=summary, description=f"{summary}.")
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a Measurement, or else a Survey; or measurement/NAME, survey/NAME",
    )
    if command == "rerun":
        parser.add_argument(
            "--run-id",
            metavar="ID",
            help="the new runId; by default the number after that of the last run",
        )
    add_output_argument(parser)
    add_connection_arguments(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Change the spec, and say what was done."""

    async def talk(session: Session) -> dict[str, Any]:
        about = await find_subject(session, chosen.name)
        place = Place(about.kind, *about.key)
        known = {"resourceVersion": about.metadata.resource_version}
        changes = choose_changes(chosen.command, about, getattr(chosen, "run_id", None))
        if not changes:
            return {"done": "unchanged", "about": about}
        changed = await session.objects.cluster.request(
            "PATCH",
            place.path,
            query={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            body={"metadata": known, "spec": changes},
            content=MERGE,
        )
        return {"done": _say(changes), "about": about, "changed": changed}

    told = converse(chosen, talk)
    about = told["about"]
    name = f"{about.kind.lower()}.anabranch.dev/{about.metadata.name}"
    if chosen.output:
        values = told.get("changed") or about.model_dump(mode="json", by_alias=True)
        print_values(chosen.output, values, [name])
    else:
        write(f"{name} {told['done']}\n")
    return 0


def choose_changes(
    command: str, about: Measurement | Survey, run_id: str | None = None
) -> dict[str, Any]:
    """Choose what changes in a spec; nothing if it is so already.

    Raises:
        PluginError: When the object can't be changed like this, with the remedy.
    """
    if command != "rerun":
        wanted = command == "suspend"
        return {} if about.spec.suspend == wanted else {"suspend": wanted}
    if isinstance(about, Survey):
        cycles = [each.name for each in about.status.active]
        example = cycles[-1] if cycles else about.name_cycle(about.status.cycle or 1)
        raise PluginError(
            f"a Survey starts its cycles itself; rerun one of its Measurements, such "
            f"as {example}"
        )
    last = about.spec.run_id
    if run_id in {last, about.status.run_id}:
        raise PluginError(f"runId {run_id!r} was used before; choose another one")
    return {"runId": run_id or follow_run(last)}


def follow_run(run_id: str) -> str:
    """Return the runId that follows another one: the next number at its end."""
    found = re.fullmatch(r"(.*?)(\d+)", run_id)
    if not found:
        return f"{run_id[: _LONGEST_RUN_ID - 2]}-2"
    stem, digits = found.groups()
    number = str(int(digits) + 1).zfill(len(digits))
    return f"{stem[: _LONGEST_RUN_ID - len(number)]}{number}"


def _say(changes: dict[str, Any]) -> str:
    if "runId" in changes:
        return f"runs again, as run {changes['runId']}"
    return "suspended" if changes["suspend"] else "resumed"
