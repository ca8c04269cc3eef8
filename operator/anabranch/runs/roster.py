"""Who takes part in a run of a measurement, by which rules: fixed when it starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api import Agent, Measurement
from anabranch.api.model import Model
from anabranch.api.policy import ProbingPolicySpec
from anabranch.api.text import AgentName, Digest, Timestamp
from anabranch.runs.record import RunRecord


class Member(Model):
    """An agent that takes part."""

    entry: AgentName
    """Which of the measurement's agents it is, or is of."""
    agent: Agent
    """As it was when the run started."""

    @property
    def name(self) -> str:
        """The agent's."""
        return self.agent.metadata.name


class Roster(Model):
    """All that take part, in the order of the measurement's agents."""

    uid: str
    """The UID of the measurement in the store."""
    started: Timestamp | None = None
    """When the run started; a rehearsal does not."""
    measurement: Measurement
    """As it was when the run started."""
    policy: ProbingPolicySpec
    """As it was when the run started."""
    lists: Annotated[dict[str, Digest], Field(min_length=1)]
    """The contents of target lists, by name."""
    members: tuple[Member, ...]
    """Who takes part."""

    def record(self, agent: str) -> RunRecord:
        """What the run of an agent is started with.

        Raises:
            LookupError: When it does not take part.
        """
        member = next((each for each in self.members if each.name == agent), None)
        if member is None:
            raise LookupError(f"agent {agent!r} does not take part in the run")
        entries = {entry.name: entry for entry in self.measurement.spec.agents}
        return RunRecord(
            uid=self.uid,
            measurement=self.measurement,
            entry=member.entry,
            agent=member.agent,
            policy=self.policy,
            target_list=self.lists[entries[member.entry].target_list],
        )

    def write(self) -> bytes:
        """It as JSON."""
        text = self.model_dump_json(
            by_alias=True,
            exclude={
                "measurement": {"status"},
                "members": {"__all__": {"agent": {"status"}}},
            },
            exclude_none=True,
        )
        return text.encode()
