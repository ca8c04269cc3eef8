"""The roster of a run: its agents and rules, which are fixed when it starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api import Agent, Measurement
from anabranch.api.model import Model
from anabranch.api.policy import ProbingPolicySpec
from anabranch.api.text import AgentName, Digest, Timestamp
from anabranch.runs.record import RunRecord


class Member(Model):
    """An agent that takes part in a run."""

    entry: AgentName
    """The entry of the measurement's agents that names or selects this agent."""
    agent: Agent
    """The agent as it was when the run started."""

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent.metadata.name


class Roster(Model):
    """The agents of a run, in the order of the measurement's entries, and its rules."""

    uid: str
    """The UID of the measurement in the store."""
    started: Timestamp | None = None
    """When the run started; None for a rehearsal."""
    measurement: Measurement
    """The measurement as it was when the run started."""
    policy: ProbingPolicySpec
    """The policy as it was when the run started."""
    lists: Annotated[dict[str, Digest], Field(min_length=1)]
    """The SHA-256 of each target list's content, by name."""
    members: tuple[Member, ...]
    """The agents that take part."""

    def record(self, agent: str) -> RunRecord:
        """Return the record of an agent's run.

        Raises:
            LookupError: If the agent does not take part.
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
        """Return the roster as JSON."""
        text = self.model_dump_json(
            by_alias=True,
            exclude={
                "measurement": {"status"},
                "members": {"__all__": {"agent": {"status"}}},
            },
            exclude_none=True,
        )
        return text.encode()
