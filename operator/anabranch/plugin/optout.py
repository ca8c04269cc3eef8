"""`kubectl anabranch optout`: have no agent probe a network any more."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from anabranch.api import Agent, ProbingPolicy
from anabranch.api.policy import POLICY_NAME
from anabranch.api.text import Prefix
from anabranch.cli.command import write
from anabranch.cluster.client import CONFLICT, FORBIDDEN, MERGE, RefusedError
from anabranch.cluster.objects import Place
from anabranch.plugin.output import add_output_argument, print_values
from anabranch.plugin.scene import list_rounds
from anabranch.plugin.session import (
    FIELD_MANAGER,
    PluginError,
    add_connection_arguments,
    converse,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Container, Sequence

    from anabranch.cli.command import Commands
    from anabranch.plugin.progress import Told
    from anabranch.plugin.session import Session

_SECONDS = 60.0
_TRIES = 10
_CHECK_SECONDS = 0.5


def add_parser(commands: Commands, command: str) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        command,
        help="have no agent probe an address or prefix any more",
        description="Adds addresses or prefixes to the exclusions of the "
        "ProbingPolicy, and waits until every Round that goes on obeys it. It exits "
        "with 1 if that takes longer than --timeout; the opt-out holds all the same, "
        "and an agent that can't read it falls silent after 40 s.",
    )
    parser.add_argument(
        "addresses",
        nargs="+",
        metavar="ADDRESS",
        help="an address or prefix, such as 192.0.2.0/24",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for agents, by default {_SECONDS:.0f} s; 0 waits for "
        "none",
    )
    add_output_argument(parser)
    add_connection_arguments(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Add the opt-outs, and wait until agents obey."""
    wanted = read_prefixes(chosen.addresses)

    async def talk(session: Session) -> int:
        policy, added = await _exclude(session, wanted)
        name = f"probingpolicy.anabranch.dev/{POLICY_NAME}"
        if chosen.output:
            values = policy.model_dump(mode="json", by_alias=True, exclude_none=True)
            print_values(chosen.output, values, [name])
        else:
            for prefix in wanted:
                done = "excluded" if prefix in added else "was excluded already"
                write(f"{name}: {prefix} {done}\n")
        generation = policy.metadata.generation
        told = await _wait(session, generation, chosen.timeout)
        if not chosen.output:
            write(f"{told}\n")
        return 0

    return converse(chosen, talk)


def read_prefixes(texts: Sequence[str]) -> list[str]:
    """Return prefixes as the policy writes them, each once.

    Raises:
        PluginError: When a text is no prefix.
    """
    adapter: TypeAdapter[str] = TypeAdapter(Prefix)
    found: dict[str, None] = {}
    for text in texts:
        try:
            found[str(adapter.validate_python(text))] = None
        except ValidationError as error:
            raise PluginError(error.errors()[0]["msg"]) from error
    return list(found)


def find_missing(policy: ProbingPolicy, wanted: Sequence[str]) -> list[str]:
    """Return which prefixes the exclusions do not cover yet."""
    networks = [ip_network(each) for each in policy.spec.exclusions]

    def is_covered(text: str) -> bool:
        network = ip_network(text)
        return any(
            network.version == other.version
            and other.prefixlen <= network.prefixlen
            and network.network_address in other
            for other in networks
        )

    return [each for each in wanted if not is_covered(each)]


def find_disobedient(
    rounds: Sequence[Told], generation: int, agents: Container[str] | None = None
) -> list[Told]:
    """Return the Rounds that go on and have not said that they obey the policy.

    They are of the ``agents`` that there are, or of all if these are not known.
    """
    return [
        told
        for told in rounds
        if not told.is_over
        and told.ready is not None
        and (agents is None or told.round.spec.agent in agents)
        and (told.round.status.policy_generation or 0) < generation
    ]


async def _exclude(
    session: Session, wanted: Sequence[str]
) -> tuple[ProbingPolicy, list[str]]:
    """Add prefixes; return the policy as it is then, and those that were added.

    A field manager that adds items of a set owns these items alone. So whoever applies
    the rest of the policy keeps them.
    """
    for _ in range(_TRIES):
        policy = await _find_policy(session)
        if not (missing := find_missing(policy, wanted)):
            return policy, []
        try:
            await session.objects.cluster.request(
                "PATCH",
                Place("ProbingPolicy", session.system, POLICY_NAME).path,
                query={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
                body={
                    "metadata": {"resourceVersion": policy.metadata.resource_version},
                    "spec": {"exclusions": [*policy.spec.exclusions, *missing]},
                },
                content=MERGE,
            )
        except RefusedError as error:
            if error.status != CONFLICT:
                raise
            continue  # Somebody changed it meanwhile, such as the operator its status.
        return await _find_policy(session), missing
    raise PluginError("the ProbingPolicy changes all the time; try again")


async def _find_policy(session: Session) -> ProbingPolicy:
    found = await session.list_objects(ProbingPolicy, namespace=session.system)
    for policy in found:
        if policy.metadata.name == POLICY_NAME:
            return policy
    raise PluginError(
        f"there is no ProbingPolicy {POLICY_NAME} in namespace {session.system}, so "
        "nothing is probed there; if the operator is elsewhere, name its namespace by "
        "--system-namespace"
    )


async def _wait(session: Session, generation: int, seconds: float) -> str:
    """Wait until all Rounds obey; return how that went, in a sentence.

    Raises:
        PluginError: When it takes longer than it may.
    """
    where, scope = "", "all Rounds obey"
    agents = await session.try_list(Agent, namespace=session.system)
    names = None if agents is None else {agent.metadata.name for agent in agents}
    end = time.monotonic() + seconds
    while True:
        try:
            rounds = await list_rounds(session, where)
        except RefusedError as error:
            if error.status != FORBIDDEN or where:
                raise
            where = session.namespace
            scope = f"all Rounds of namespace {where} obey; you may not see the others"
            continue
        late = find_disobedient(rounds, generation, names)
        if not late:
            return scope
        if time.monotonic() >= end:
            break
        await asyncio.sleep(_CHECK_SECONDS)
    who = ", ".join(sorted({told.round.spec.agent for told in late}))
    if seconds <= 0:
        return f"agents obey within seconds; not heard of yet: {who}"
    raise PluginError(
        f"agents that have not said that they obey: {who}. One that can't read the "
        "policy falls silent after 40 s; see kubectl get agents --all-namespaces"
    )
