"""The rules that a run follows, and the outcome of one of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.rounds.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.api.tool import Tool


@dataclass(frozen=True)
class Rules:
    """The parameters that decide how a run continues."""

    tool: Tool
    max_rounds: int
    failure_probability: float
    min_ttl: int
    """The lowest TTL that the agent may probe."""
    max_ttl: int
    """The highest TTL that the agent may probe."""
    drop_private: bool
    """Whether replies from private addresses are ignored."""


@dataclass(frozen=True)
class Outcome:
    """The results of a step, and the step that follows."""

    step: str
    probes: int
    """Probes sent, according to the step's parts."""
    replies: int
    """Valid replies in the step."""
    links: int
    """Distinct links found in the run so far."""
    prefixes: int
    """Prefixes with replies in the run so far."""
    amplified: int
    """Prefixes with more than one reply to a probe; their links are not computed."""
    looping: int
    """Prefixes with a flow that met an interface twice."""
    next: str | None
    """The next step, whose plan has been written; None if the run has ended."""
    probes_left: int
    """Probes that a further round would send if maxRounds allowed it."""
    is_cut: bool
    """Whether the step was ended before all its probes were sent."""
    # Version 0.2 does not write the fields below.
    unroutable: int = 0
    """Prefixes of the step without a route."""
    forbidden: int = 0
    """Probes that were not sent because their addresses are excluded."""
    unsent: int = 0
    """Probes that the kernel refused to send."""
    dropped: int = 0
    """Packets that the kernel dropped before they were read."""
    traced: int = 0
    """Destinations that were traced."""
    further: int = 0
    """Probes beyond the plan's last TTLs, which replies asked for."""
    missing_links: float | None = None
    """Links that load balancers are expected to have beyond those found, once the run
    has ended; None if it was cut, or if its rule shares no evidence."""

    @property
    def next_step(self) -> Step | None:
        """The next step, or None if the run has ended."""
        return Step.parse(self.next) if self.next else None


def add_missing(outcomes: Iterable[Outcome]) -> int | None:
    """Return the links that runs with these last outcomes are expected to have missed.

    None if no run knows.
    """
    known = [each.missing_links for each in outcomes if each.missing_links is not None]
    return round(sum(known)) if known else None


@dataclass(frozen=True)
class PlanSummary:
    """The facts about a plan that are needed without reading it."""

    digest: str
    """``sha256:``, followed by the SHA-256 of the plan's file in hexadecimal."""
    blocks: int
    probes: int | None = None
    """The number of probes; None if targets are traced."""
    destinations: int | None = None
    """The number of destinations that are traced; None if the plan says each probe."""
    segment: str | None = None
    """What TCP probes are, ``syn`` or ``ack``; None if there are none."""
