"""What may follow on a command line of `kubectl anabranch`.

kubectl asks the program `kubectl_complete-anabranch`, with the words up to the one that
is being typed. It reads a candidate in each line, with a tab before its description,
and at last a number: what its shells do besides.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from anabranch.api import Measurement, Survey
from anabranch.plugin import build_parser
from anabranch.plugin.session import PluginError, converse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.plugin.session import Session

_SHELL, _NO_FILES = 0, 4
"""What a shell completes besides: file names, or nothing."""
_NAMES = {"name", "measurement"}
"""The arguments that are names of objects."""


def main(words: list[str] | None = None) -> int:
    """Print what may follow; return 0, since a shell can't use an error."""
    before = sys.argv[1:] if words is None else words
    parser = build_parser(before)
    found = dict(find_candidates(parser, before))
    chosen = _read_connection(parser, before)
    if not found and chosen and _is_name_due(parser, before):
        found = dict.fromkeys(_list_names(chosen), "")
    typed = before[-1] if before else ""
    for word, about in found.items():
        if word.startswith(typed):
            print(f"{word}\t{about}" if about else word)
    print(f":{_NO_FILES if found else _SHELL}")
    return 0


def find_candidates(
    parser: argparse.ArgumentParser, words: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield commands, options or choices that may stand for the last word."""
    commands = _find_commands(parser)
    if len(words) <= 1:
        for action in commands._choices_actions:  # noqa: SLF001 (argparse has no other)
            yield action.dest, action.help or ""
        return
    chosen = commands.choices.get(words[0])
    if chosen is None:
        return
    actions = chosen._actions  # noqa: SLF001
    options = {name: one for one in actions for name in one.option_strings}
    last, before = words[-1], options.get(words[-2])
    if before is not None and before.nargs != 0:
        yield from ((str(choice), "") for choice in before.choices or ())
    elif last.startswith("-"):
        yield from ((name, one.help or "") for name, one in options.items())


def _is_name_due(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Return whether the last word may be the name of an object."""
    if len(words) < 2 or words[-1].startswith("-"):  # noqa: PLR2004 (a command first)
        return False
    chosen = _find_commands(parser).choices.get(words[0])
    actions = chosen._actions if chosen else []  # noqa: SLF001
    before = next((one for one in actions if words[-2] in one.option_strings), None)
    takes_value = before is not None and before.nargs != 0
    return not takes_value and any(one.dest in _NAMES for one in actions)


def _read_connection(
    parser: argparse.ArgumentParser, words: list[str]
) -> argparse.Namespace | None:
    """Return the arguments that say which cluster is meant, as far as they go."""
    if not words[:1] or words[0] not in _find_commands(parser).choices:
        return None
    known = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    known.add_argument("-n", "--namespace")
    for name in ("--context", "--kubeconfig", "--system-namespace"):
        known.add_argument(name)
    try:
        return known.parse_known_args(words[1:-1])[0]
    except argparse.ArgumentError:
        return None


def _list_names(chosen: argparse.Namespace) -> list[str]:
    async def talk(session: Session) -> list[str]:
        found = [
            *await session.list_objects(Measurement),
            *await session.list_objects(Survey),
        ]
        return [each.metadata.name for each in found]

    try:
        return converse(chosen, talk)
    except PluginError:
        return []


def _find_commands(
    parser: argparse.ArgumentParser,
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(
        action
        for action in parser._actions  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    )
