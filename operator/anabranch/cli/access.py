"""`anabranch access`: write what an agent's credentials for the store must allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.cli.command import write
from anabranch.store.access import Reach, write_identity_policy, write_once_policy

if TYPE_CHECKING:
    import argparse

    from anabranch.cli.command import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    summary = "write the policy of an agent's user or role of S3, as JSON"
    parser = commands.add_parser("access", help=summary, description=summary)
    parser.add_argument(
        "agent",
        nargs="?",
        metavar="AGENT",
        help="the Agent's name; without one, write the policy of the bucket that lets "
        "nobody put over an object",
    )
    parser.add_argument("--bucket", required=True, help="the store's bucket")
    parser.add_argument(
        "--team",
        action="append",
        default=[],
        metavar="NAME",
        help="a team that the agent may be in: the name of an entry with division: "
        "shared",
    )
    parser.add_argument(
        "--read",
        action="append",
        default=[],
        metavar="KEY",
        help="an object that a Measurement of connections names in annotateFrom",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="let it put nothing over an object, by a condition that AWS knows",
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Write the policy."""
    if chosen.agent:
        reach = Reach(frozenset({chosen.agent, *chosen.team}), frozenset(chosen.read))
        text = write_identity_policy(chosen.bucket, reach, once=chosen.once)
    else:
        text = write_once_policy(chosen.bucket)
    write(f"{text}\n")
    return 0
