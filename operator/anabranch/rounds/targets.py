"""Which targets a tool gets out of a list, and which it may have."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from anabranch_engine import PrefixSet, TargetList

from anabranch.api.tool import DiamondMiner, Ping, Tool, Yarrp
from anabranch.rounds.shortfall import Reason, TargetCounts
from anabranch.rounds.steps import MAX_TTL

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


def find_closed(policy: ProbingPolicySpec, agent: AgentSpec) -> dict[Reason, PrefixSet]:
    """The space that an agent must not probe under a policy, by what closes it.

    Exclusions of either always win; the allow list and ``allowReserved`` can only open
    what no exclusion closes. Reserved space takes both the policy's and the agent's
    word. What several close is said of the first.
    """
    closed = {
        Reason.EXCLUDED_BY_POLICY: PrefixSet(policy.exclusions),
        Reason.EXCLUDED_BY_AGENT: PrefixSet(agent.exclusions),
    }
    if not (policy.allow_reserved and agent.allow_reserved):
        closed[Reason.RESERVED] = PrefixSet.reserved()
    if policy.allow is not None:
        closed[Reason.NOT_ALLOWED] = ~PrefixSet(policy.allow)
    return closed


def find_forbidden(policy: ProbingPolicySpec, agent: AgentSpec) -> PrefixSet:
    """The space that an agent must not probe under a policy."""
    return reduce(or_, find_closed(policy, agent).values())


def read_entries(entries: Iterable[TargetEntry]) -> TargetList:
    """The list of inline entries; each is a line."""
    lines = (
        f"{entry.target},{entry.protocol},{entry.min_ttl},{entry.max_ttl},"
        f"{entry.n_initial_flows}\n"
        for entry in entries
    )
    return TargetList.read(io.BytesIO("".join(lines).encode()))


@dataclass(frozen=True)
class Choice:
    """What an agent is to probe."""

    targets: Targets
    counts: TargetCounts


def choose_targets(
    targets: TargetList, tool: Tool, policy: ProbingPolicySpec, agent: AgentSpec
) -> Choice:
    """What an agent is to probe with a tool, and what it is not; it may be nothing.

    Raises:
        ValueError: When it is more than the policy lets a measurement have, or what
            the tool can't probe; with the remedy.
    """
    if isinstance(tool, Ping) and "udp" in targets.protocols():
        raise ValueError("ping sends no UDP; list icmp and icmp6 alone")
    lengths = choose_split(tool)
    closed = find_closed(policy, agent)
    chosen = targets.split(
        lengths.v4,
        lengths.v6,
        forbidden=list(closed.values()),
        limit=policy.limits.max_targets,
    )
    outside, cut = _find_beyond(chosen, tool, agent)
    shortfalls = {
        **dict(zip(closed, chosen.excluded, strict=True)),
        Reason.OUTSIDE_TTLS: outside,
        Reason.PARTLY_EXCLUDED: chosen.partly_excluded,
        Reason.TTLS_CUT: cut,
    }
    found = {reason.value: n for reason, n in shortfalls.items() if n}
    return Choice(chosen, TargetCounts(len(chosen) - outside, found))


def _find_beyond(targets: Targets, tool: Tool, agent: AgentSpec) -> tuple[int, int]:
    """Targets of which an agent's TTLs leave nothing, and not all."""
    if not isinstance(tool, Ping):
        return targets.beyond(agent.min_ttl, agent.max_ttl)
    # It sends at the highest TTL alone, and where that is too high at the agent's.
    outside, _ = targets.beyond(agent.min_ttl, MAX_TTL)
    return outside, sum(targets.beyond(1, agent.max_ttl))
