"""What an agent should do with a Round now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from anabranch_engine import PrefixSet


@dataclass(frozen=True)
class Hold:
    """A reason why nothing is sent: a word for programs and a sentence for people."""

    reason: str
    message: str


SUSPENDED = Hold("Suspended", "the Round says suspend")


@dataclass(frozen=True)
class Limits:
    """Settings that can't change while a prober runs.

    After a change, another prober begins where this one ended.
    """

    min_ttl: int
    max_ttl: int
    interface: str | None
    sources: tuple[IPv4Address | IPv6Address, ...]
    contact: str


@dataclass(frozen=True)
class Probe:
    """The demand to probe the Round."""

    limits: Limits
    forbidden: PrefixSet
    paused: Hold | None = None
    """Why the rate is 0 for now, if it is."""
    policy: int | None = None
    """The generation of the ProbingPolicy that this demand follows from."""

    def is_same_prober(self, demand: Demand) -> bool:
        """Return whether the prober of this demand can go on under another demand."""
        return isinstance(demand, Probe) and demand.limits == self.limits


@dataclass(frozen=True)
class Pause:
    """The demand to send nothing, and to store what was heard."""

    hold: Hold
    policy: int | None = None
    """The generation of the ProbingPolicy that this demand follows from."""


@dataclass(frozen=True)
class Leave:
    """The demand to leave the Round as it is, since this process ends."""


@dataclass(frozen=True)
class Drop:
    """The demand to forget the Round, since it is gone."""


Demand = Probe | Pause | Leave | Drop
