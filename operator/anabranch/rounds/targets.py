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
    from typing import BinaryIO

    from anabranch_engine import Targets

    from anabranch.api.agent import AgentSpec
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.api.targetlist import TargetEntry, TargetListSpec
    from anabranch.api.tool import Tool


def read_entries(entries: Iterable[TargetEntry]) -> TargetList:
    """Return the target list of inline entries, each as a line."""
    lines = (
        f"{entry.target},{entry.protocol},{entry.min_ttl},{entry.max_ttl},"
        f"{entry.n_initial_flows}\n"
        for entry in entries
    )
    return TargetList.read(io.BytesIO("".join(lines).encode()))


def read_content(spec: TargetListSpec, file: BinaryIO) -> TargetList:
    """Return the target list of a file: a list, or a table of routes.

    Raises:
        TargetListError: When lines of a list are bad, with the reasons.
        ValueError: When a table can't be used, with the remedy.
    """
    routes = spec.routes
    if routes is None:
        return TargetList.read(file)
    lengths_v4 = (routes.min_len_v4, routes.max_len_v4)
    lengths_v6 = (routes.min_len_v6, routes.max_len_v6)
    return TargetList.read_routes(
        file,
        lengths_v4=None if routes.family == "ipv6" else lengths_v4,
        lengths_v6=None if routes.family == "ipv4" else lengths_v6,
        samples_v6=routes.samples_v6,
        min_peers=routes.min_peers,
        allow_reserved=routes.allow_reserved,
        protocol=routes.protocol,
        min_ttl=routes.min_ttl,
        max_ttl=routes.max_ttl,
        n_initial_flows=routes.n_initial_flows,
    )


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
