"""Split a target list for a tool, and choose the targets that an agent may probe."""

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
    """The prefix lengths to which a tool splits its targets, in bits."""

    v4: int
    v6: int


def choose_split(tool: Tool) -> SplitLengths:
    """Return the prefix lengths of a tool; ping splits to addresses."""
    match tool:
        case DiamondMiner() | Yarrp():
            return SplitLengths(tool.prefix_len_v4, tool.prefix_len_v6)
        case Ping():
            return SplitLengths(32, 128)


def find_closed(policy: ProbingPolicySpec, agent: AgentSpec) -> dict[Reason, PrefixSet]:
    """Return the space that an agent must not probe under a policy, by reason.

    Exclusions of the policy and of the agent always win: the allow list and
    ``allowReserved`` never open an excluded network. Reserved space is open only if
    both the policy and the agent allow it. The sets may overlap; a target in several
    counts for the first.
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
    """Return the space that an agent must not probe under a policy."""
    return reduce(or_, find_closed(policy, agent).values())


def read_entries(entries: Iterable[TargetEntry]) -> TargetList:
    """Return the target list of inline entries, each as a line."""
    lines = (
        f"{entry.target},{entry.protocol},{entry.min_ttl},{entry.max_ttl},"
        f"{entry.n_initial_flows}\n"
        for entry in entries
    )
    return TargetList.read(io.BytesIO("".join(lines).encode()))


@dataclass(frozen=True)
class Choice:
    """The targets that an agent has to probe, and their counts."""

    targets: Targets
    counts: TargetCounts


def choose_targets(
    targets: TargetList, tool: Tool, policy: ProbingPolicySpec, agent: AgentSpec
) -> Choice:
    """Return the targets that an agent has to probe with a tool; there may be none.

    Raises:
        ValueError: If the policy allows fewer targets, or the tool can't probe them;
            with the remedy.
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
    """Count the targets that the agent's TTLs rule out entirely, and those in part."""
    if not isinstance(tool, Ping):
        return targets.beyond(agent.min_ttl, agent.max_ttl)
    # Ping sends only at the target's highest TTL, or at the agent's if that is lower.
    outside, _ = targets.beyond(agent.min_ttl, MAX_TTL)
    return outside, sum(targets.beyond(1, agent.max_ttl))
