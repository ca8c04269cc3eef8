"""The work on a Round, whether it has a plan or is standing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from anabranch_agent.backoff import Backoff
from anabranch_agent.demand import Drop, Hold, Leave, Pause, Probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch.api import Round
    from anabranch_agent.config import Times
    from anabranch_agent.demand import Demand
    from anabranch_agent.governor import Governor
    from anabranch_agent.status import View

_log = logging.getLogger(__name__)
LEFT = Hold("AgentStopped", "the agent's process is ending; the next one goes on")


@dataclass(kw_only=True)
class Work(ABC):
    """The work on a Round, which follows what is demanded of it."""

    doing: ClassVar[str]
    """What logs say while nothing keeps it from its work."""

    measured: Round
    folder: Path
    """The Round's own folder, for what it takes and for what waits."""
    governor: Governor
    times: Times
    now: Callable[[], str]
    """The time as Kubernetes writes it."""
    changed: Callable[[], None]
    """Called when there is news to report, or when rates must be shared anew."""
    demand: Demand
    is_probing: bool = False
    """Whether it gets a share of the agent's rate."""
    is_over: bool = False
    _trouble: Hold | None
    """What keeps it from probing; None if nothing does."""
    _start_time: str | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if began := self.measured.status.start_time:
            self._start_time = began.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def uid(self) -> str:
        """The UID of the Round."""
        return self.measured.metadata.uid

    @property
    def name(self) -> str:
        """The name that logs and messages give it."""
        return "/".join(self.measured.key)

    @property
    def policy(self) -> int | None:
        """The generation of the ProbingPolicy that it obeys, if one is known."""
        demand = self.demand
        return demand.policy if isinstance(demand, Pause | Probe) else None

    @property
    @abstractmethod
    def is_ending(self) -> bool:
        """Whether it only goes on with what it has begun."""

    @property
    @abstractmethod
    def pace(self) -> int:
        """The probes a second that it has sent lately, where it may be ending."""

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether it has nothing to send for now."""

    @property
    @abstractmethod
    def waiting_files(self) -> int:
        """The number of files that wait for the store."""

    @property
    @abstractmethod
    def waiting_bytes(self) -> int:
        """The size of what waits for the store."""

    @abstractmethod
    def look(self) -> None:
        """Count what waits for the store."""

    @abstractmethod
    def view(self) -> View:
        """Return the present state of the Round."""

    @abstractmethod
    def find_hold(self) -> Hold | None:
        """Return the most important reason why nothing is sent, or None."""

    def follow(self, measured: Round, demand: Demand) -> None:
        """Take up a new demand; what it forbids is forbidden at once."""
        self.measured = measured
        before, self.demand = self.demand, demand
        if demand == before:
            return
        self._pass_on(demand)
        self._news.set()
        self.changed()

    async def run(self) -> None:
        """Work until the Round is complete, failed, or no longer wanted."""
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        while not self.is_over:
            self._news.clear()
            match self.demand:
                case Drop():
                    await self._drop()
                    self.is_over = True
                    _log.info("%s: dropped", self.name)
                case Leave():
                    await self._leave()
                    self.is_over = True
                case Pause():
                    await self._news.wait()
                case Probe() as probe:
                    await self._attempt(probe, backoff)
        self.changed()

    @abstractmethod
    def _pass_on(self, demand: Demand) -> None:
        """Pass a new demand on to what goes on."""

    @abstractmethod
    async def _attempt(self, probe: Probe, backoff: Backoff) -> None:
        """Work until another demand, or report why not; after a failure, rest."""

    @abstractmethod
    async def _drop(self) -> None:
        """End what there is of the Round, which is gone."""

    @abstractmethod
    async def _leave(self) -> None:
        """Leave the Round to the next process."""

    def _begin(self) -> None:
        """Note that the first probe was sent."""
        self._start_time = self._start_time or self.now()

    async def _rest(self, seconds: float) -> None:
        """Wait for some seconds, or until there is news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _tell(self, trouble: Hold | None) -> None:
        """Set what keeps the Round from being probed; report a new reason."""
        before, self._trouble = self._trouble, trouble
        if (before and before.reason) != (trouble and trouble.reason):
            words = f"{trouble.reason}: {trouble.message}" if trouble else self.doing
            _log.info("%s: %s", self.name, words)
            self.changed()
