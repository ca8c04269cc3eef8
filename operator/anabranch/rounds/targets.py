"""Split a target list for a tool, and choose the targets that an agent may probe."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch_engine import TargetList

from anabranch.rounds.closed import find_closed
from anabranch.rounds.shortfall import Reason, TargetCounts
from anabranch.rounds.tools import face_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch_engine import Targets

    from anabranch.api.agent import AgentSpec
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.api.targetlist import TargetEntry
    from anabranch.api.tool import Tool


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
    face = face_of(tool)
    if reason := face.refuse(targets.protocols()):
        raise ValueError(reason)
    closed = find_closed(policy, agent)
    chosen = targets.split(
        face.split.v4,
        face.split.v6,
        forbidden=list(closed.values()),
        limit=policy.limits.max_targets,
    )
    outside, cut = face.count_beyond(chosen, agent)
    shortfalls = {
        **dict(zip(closed, chosen.excluded, strict=True)),
        Reason.OUTSIDE_TTLS: outside,
        Reason.PARTLY_EXCLUDED: chosen.partly_excluded,
        Reason.TTLS_CUT: cut,
    }
    found = {reason.value: n for reason, n in shortfalls.items() if n}
    return Choice(chosen, TargetCounts(len(chosen) - outside, found))
