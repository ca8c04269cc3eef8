"""What the work on a Round looks like, whether it has a plan or is standing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from anabranch.api import Round
    from anabranch_agent.demand import Demand, Hold
    from anabranch_agent.status import View


class Work(Protocol):
    """The work on a Round, which follows what is demanded of it."""

    measured: Round
    demand: Demand
    is_probing: bool
    """Whether it gets a share of the agent's rate."""
    is_over: bool

    @property
    def uid(self) -> str:
        """The UID of the Round."""

    @property
    def name(self) -> str:
        """The name that logs and messages give it."""

    @property
    def is_ending(self) -> bool:
        """Whether it only goes on with what it has begun."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to send for now."""

    @property
    def waiting_files(self) -> int:
        """The number of files that wait for the store."""

    @property
    def waiting_bytes(self) -> int:
        """The size of what waits for the store."""

    def look(self) -> None:
        """Count what waits for the store."""

    def follow(self, measured: Round, demand: Demand) -> None:
        """Take up a new demand; what it forbids is forbidden at once."""

    def view(self) -> View:
        """Return the present state of the Round."""

    def find_hold(self) -> Hold | None:
        """Return the most important reason why nothing is sent, or None."""

    async def run(self) -> None:
        """Work until the Round is complete, failed, or no longer wanted."""
