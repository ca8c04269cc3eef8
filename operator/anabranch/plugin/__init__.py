"""`kubectl anabranch`: what people ask of a cluster, and what they do there.

kubectl runs any program named `kubectl-NAME` that it finds as `kubectl NAME`.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module, metadata

from anabranch.cli import run_chosen
from anabranch.cli.command import INTERRUPTED

COMMANDS = {
    "status": "status",
    "top": "top",
    "results": "outcome",
    "plot": "outcome",
    "report": "outcome",
    "logs": "logs",
    "suspend": "changes",
    "resume": "changes",
    "rerun": "changes",
    "optout": "optout",
}
"""The module of each command."""
PROGRAM = "kubectl anabranch"


def build_parser(words: list[str] | None = None) -> argparse.ArgumentParser:
    """Build the parser of the command that ``words`` begin with, or else of all."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Shows and steers surveys in a Kubernetes cluster."
    )
    version = f"{PROGRAM} {metadata.version('anabranch')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    named = [word for word in (words or [])[:1] if word in COMMANDS]
    for command in named or COMMANDS:
        module = import_module(f"anabranch.plugin.{COMMANDS[command]}")
        module.add_parser(commands, command)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code, which is 1 if something is refused."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        chosen = build_parser(words).parse_args(words)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {
            "aiohttp",
            "kubernetes",
            "rich",
        }:
            raise
        print(f"{PROGRAM}: this needs anabranch[kubectl]; install it", file=sys.stderr)
        return 1
    try:
        return run_chosen(chosen, PROGRAM)
    except KeyboardInterrupt:
        # So do watches end.
        return INTERRUPTED
