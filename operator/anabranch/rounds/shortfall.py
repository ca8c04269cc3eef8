"""Count, by reason, what a survey did not probe or see, and describe it in words."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anabranch.rounds.outcome import Outcome


class Reason(enum.StrEnum):
    """Why something was not probed, or not seen."""

    EXCLUDED_BY_POLICY = "ExcludedByPolicy"
    EXCLUDED_BY_AGENT = "ExcludedByAgent"
    RESERVED = "Reserved"
    NOT_ALLOWED = "NotAllowed"
    OUTSIDE_TTLS = "OutsideTtls"
    NO_ROUTE = "NoRoute"
    PARTLY_EXCLUDED = "PartlyExcluded"
    TTLS_CUT = "TtlsCut"
    PASSED_OVER = "ProbesPassedOver"
    NOT_SENT = "ProbesNotSent"
    DROPPED = "PacketsDropped"
    AMPLIFICATION = "Amplification"
    MAX_ROUNDS = "MaxRounds"
    AGENT_FAILED = "AgentFailed"


LEFT_OUT = {
    Reason.EXCLUDED_BY_POLICY: "excluded by the policy",
    Reason.EXCLUDED_BY_AGENT: "excluded by the agent",
    Reason.RESERVED: "in reserved space (see allowReserved of policy and agent)",
    Reason.NOT_ALLOWED: "outside of the policy's allow list",
    Reason.OUTSIDE_TTLS: "outside of the agent's TTLs",
    Reason.NO_ROUTE: "without a route",
}
"""The words for targets that are not probed at all, by reason."""
_OTHERS = {
    Reason.PARTLY_EXCLUDED: ("target", "probed but for excluded addresses"),
    Reason.TTLS_CUT: ("target", "probed at the agent's TTLs alone, not at all it asks"),
    Reason.PASSED_OVER: ("probe", "passed over, to an address that is excluded"),
    Reason.NOT_SENT: ("probe", "refused by the kernel"),
    Reason.DROPPED: ("packet", "dropped by the kernel unread"),
    Reason.AMPLIFICATION: ("target", "without links, for more than one reply a probe"),
    Reason.MAX_ROUNDS: ("probe", "of a further round, which maxRounds does not allow"),
    Reason.AGENT_FAILED: ("agent", "gave up; status.unhealthyAgents says why"),
}
"""For each other reason, the noun for what is counted, and the words that follow."""


@dataclass(frozen=True)
class TargetCounts:
    """How many of an agent's targets are probed, and why the others are not."""

    probed: int
    shortfalls: Mapping[str, int]
    """Targets by reason: of ``LEFT_OUT`` if not probed, of others if probed in part."""


@dataclass(frozen=True)
class Coverage:
    """How much of what was asked for one or more runs cover."""

    probed: int | None
    """Targets that are probed, at least in part; None if they were not counted."""
    shortfalls: Counter[Reason]

    def __add__(self, other: Coverage) -> Coverage:
        """Return the coverage of both together."""
        probed = None
        if self.probed is not None and other.probed is not None:
            probed = self.probed + other.probed
        return Coverage(probed, self.shortfalls + other.shortfalls)

    @property
    def left_out(self) -> int:
        """Targets that are not probed at all."""
        return sum(n for reason, n in self.shortfalls.items() if reason in LEFT_OUT)

    def describe_left_out(self) -> str:
        """Return how many targets are left out and why, or "" if none are."""
        if not self.left_out:
            return ""
        every = _count(self.left_out + (self.probed or 0), "target")
        some = f"{self.left_out:,} of {every}"
        if self.probed is None:
            some = _count(self.left_out, "target")
        reasons = (
            f"{self.shortfalls[reason]:,} {words}"
            for reason, words in LEFT_OUT.items()
            if self.shortfalls[reason]
        )
        return f"{some} left out: {', '.join(reasons)}"

    def describe(self) -> Iterator[str]:
        """Yield the shortfalls in words, first all targets left out as one text."""
        if text := self.describe_left_out():
            yield text
        for reason in _OTHERS:
            if count := self.shortfalls[reason]:
                yield describe(reason, count)


def find_coverage(
    targets: TargetCounts | None, outcomes: Sequence[Outcome] = ()
) -> Coverage:
    """Return what an agent's run covers after these outcomes of its steps, in order.

    ``targets`` is None for a run that version 0.2 started: it did not count them.
    """
    known = targets.shortfalls if targets else {}
    found = Counter({Reason(name): count for name, count in known.items()})
    if outcomes:
        # The same prefixes lack a route in each step that asks for them.
        found[Reason.NO_ROUTE] = max(each.unroutable for each in outcomes)
        found[Reason.PASSED_OVER] = sum(each.forbidden for each in outcomes)
        found[Reason.NOT_SENT] = sum(each.unsent for each in outcomes)
        found[Reason.DROPPED] = sum(each.dropped for each in outcomes)
        found[Reason.AMPLIFICATION] = outcomes[-1].amplified
        found[Reason.MAX_ROUNDS] = outcomes[-1].probes_left
    probed = targets.probed - found[Reason.NO_ROUTE] if targets else None
    return Coverage(probed, +found)


def describe(reason: Reason, count: int) -> str:
    """Return a shortfall in words, for a reason that is not in ``LEFT_OUT``."""
    noun, words = _OTHERS[reason]
    return f"{_count(count, noun)} {words}"


def describe_nothing(coverage: Coverage) -> str:
    """Return why nothing is left to probe, with the remedy."""
    return (
        f"nothing is left to probe: {coverage.describe_left_out()}; list other "
        "targets, or have what leaves them out changed"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
