"""What decides how a run goes on, and what a step of it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.rounds.steps import Step

if TYPE_CHECKING:
    from anabranch.api.tool import Tool


@dataclass(frozen=True)
class Rules:
    """What decides how a run goes on."""

    tool: Tool
    max_rounds: int
    failure_probability: float
    min_ttl: int
    """No probe of the agent has a TTL below."""
    max_ttl: int
    """No probe of the agent has a TTL above."""
    drop_private: bool
    """Whether replies from private addresses are passed over."""


@dataclass(frozen=True)
class Outcome:
    """What a step found, and what comes next."""

    step: str
    probes: int
    """Probes that the step's parts say were sent."""
    replies: int
    """Valid replies of the step."""
    links: int
    """Links found so far, each once."""
    prefixes: int
    """Prefixes that replied so far."""
    amplified: int
    """Those of them with more than one reply to a probe: no links are looked for."""
    looping: int
    """Those of them with a flow that met an interface twice."""
    next: str | None
    """The next step, whose plan is there; none when the run has ended."""
    probes_left: int
    """Probes that a further round would have sent, had maxRounds allowed it."""
    is_cut: bool
    """Whether it was ended before all was probed."""
    # Version 0.2 does not say what follows.
    unroutable: int = 0
    """Prefixes of the step that no route led to."""
    forbidden: int = 0
    """Probes that were passed over, to addresses that are excluded."""
    unsent: int = 0
    """Probes that the kernel did not take."""
    dropped: int = 0
    """Packets that the kernel dropped before they were read."""

    @property
    def next_step(self) -> Step | None:
        """The next step, if there is one."""
        return Step.parse(self.next) if self.next else None


@dataclass(frozen=True)
class PlanSummary:
    """What is to be known of a plan without reading it."""

    digest: str
    """``sha256:`` and the SHA-256 of its file."""
    blocks: int
    probes: int
