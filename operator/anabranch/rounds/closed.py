"""The space that an agent must not probe, and why."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from anabranch_engine import PrefixSet

from anabranch.rounds.shortfall import Reason

if TYPE_CHECKING:
    from anabranch.api.agent import AgentSpec
    from anabranch.api.policy import ProbingPolicySpec


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
