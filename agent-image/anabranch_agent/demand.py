"""What an agent is to do with a Round now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from anabranch_engine import PrefixSet


@dataclass(frozen=True)
class Hold:
    """Why nothing is sent: a word for programs and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Limits:
    """What can't change while a prober runs: another one begins where it ended."""

    min_ttl: int
    max_ttl: int
    interface: str | None
    sources: tuple[IPv4Address | IPv6Address, ...]
    contact: str


@dataclass(frozen=True)
class Probe:
    """Probe the Round."""

    limits: Limits
    forbidden: PrefixSet
    paused: Hold | None = None
    """Why its rate is 0 meanwhile."""

    def is_same_prober(self, demand: Demand) -> bool:
        """Whether the prober of this demand can go on under another one."""
        return isinstance(demand, Probe) and demand.limits == self.limits


@dataclass(frozen=True)
class Pause:
    """Send nothing, and store what was heard."""

    hold: Hold


@dataclass(frozen=True)
class Leave:
    """Leave the Round as it is: this process ends."""


@dataclass(frozen=True)
class Drop:
    """Forget the Round: it is gone."""


Demand = Probe | Pause | Leave | Drop
