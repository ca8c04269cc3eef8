"""Which targets a tool gets out of a list, and which it may have."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch_engine import PrefixSet, TargetList

from anabranch.api.tool import DiamondMiner, Ping, Tool, Yarrp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch_engine import Targets

    from anabranch.api.agent import AgentSpec
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.api.targetlist import TargetEntry


@dataclass(frozen=True)
class SplitLengths:
    """The prefix lengths that a tool splits its targets to."""

    v4: int
    v6: int


def choose_split(tool: Tool) -> SplitLengths:
    """The prefix lengths of a tool: its own, or whole addresses for ping."""
    match tool:
        case DiamondMiner() | Yarrp():
            return SplitLengths(tool.prefix_len_v4, tool.prefix_len_v6)
        case Ping():
            return SplitLengths(32, 128)


def find_forbidden(policy: ProbingPolicySpec, agent: AgentSpec) -> PrefixSet:
    """The space that an agent must not probe under a policy.

    Exclusions of either always win; the allow list and ``allowReserved`` can only open
    what no exclusion closes. Reserved space takes both the policy's and the agent's
    word.
    """
    forbidden = PrefixSet(policy.exclusions) | PrefixSet(agent.exclusions)
    if policy.allow is not None:
        forbidden |= ~PrefixSet(policy.allow)
    if not (policy.allow_reserved and agent.allow_reserved):
        forbidden |= PrefixSet.reserved()
    return forbidden


def read_entries(entries: Iterable[TargetEntry]) -> TargetList:
    """The list of inline entries; each is a line."""
    lines = (
        f"{entry.target},{entry.protocol},{entry.min_ttl},{entry.max_ttl},"
        f"{entry.n_initial_flows}\n"
        for entry in entries
    )
    return TargetList.read(io.BytesIO("".join(lines).encode()))


def choose_targets(
    targets: TargetList, tool: Tool, policy: ProbingPolicySpec, agent: AgentSpec
) -> Targets:
    """What an agent is to probe with a tool.

    Raises:
        ValueError: When it is nothing, more than the policy lets a measurement have, or
            what the tool can't probe; with the remedy.
    """
    if isinstance(tool, Ping) and "udp" in targets.protocols():
        raise ValueError("ping sends no UDP; list icmp and icmp6 alone")
    lengths = choose_split(tool)
    chosen = targets.split(
        lengths.v4,
        lengths.v6,
        forbidden=find_forbidden(policy, agent),
        limit=policy.limits.max_targets,
    )
    if not len(chosen):
        raise ValueError(
            f"nothing is left to probe: all {chosen.excluded} targets are excluded, "
            "outside of the allow list or reserved (see allowReserved of policy and "
            "agent)"
        )
    return chosen
