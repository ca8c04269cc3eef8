"""The roster of a run: its agents and rules, which are fixed when it starts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement
from anabranch.api.measurementstatus import Subject
from anabranch.api.model import Model
from anabranch.api.policy import ProbingPolicySpec
from anabranch.api.text import AgentName, Digest, Timestamp
from anabranch.runs.record import RunRecord
from anabranch.runs.team import unite

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def group_runs(
    measurement: Measurement, members: Sequence[Member]
) -> dict[str, list[Member]]:
    """Return who has a run of its own, and its members: each agent, and each team."""
    teams = _name_teams(measurement)
    groups: dict[str, list[Member]] = {}
    for member in members:
        name = member.entry if member.entry in teams else member.name
        groups.setdefault(name, []).append(member)
    return groups


def gather_runs(
    measurement: Measurement, members: Sequence[Member]
) -> tuple[Member, ...]:
    """Return who has a run of its own: each agent, and each team as one agent.

    Raises:
        ValueError: If agents can't be a team, with the remedy.
    """
    teams = _name_teams(measurement)
    return tuple(
        Member(entry=name, agent=unite(name, [each.agent for each in group]))
        if name in teams
        else group[0]
        for name, group in group_runs(measurement, members).items()
    )


def _name_teams(measurement: Measurement) -> set[str]:
    entries = measurement.spec.agents
    return {entry.name for entry in entries if entry.division == "shared"}


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
    lists: dict[str, Digest]
    """The SHA-256 of each target list's content, by name; none of the tool aliases."""
    subject: Subject | None = None
    """The run whose interfaces are compared; None of other tools than aliases."""
    members: tuple[Member, ...]
    """The agents that take part."""

    @cached_property
    def runs(self) -> tuple[Member, ...]:
        """Who has a run of its own: each agent, and each team as one agent."""
        return gather_runs(self.measurement, self.members)

    def find_team(self, name: str) -> tuple[Member, ...]:
        """Return the members of a team; none if it is an agent's name."""
        if name not in _name_teams(self.measurement):
            return ()
        return tuple(each for each in self.members if each.entry == name)

    def record(self, agent: str, interfaces: Digest | None = None) -> RunRecord:
        """Return the record of the run of an agent, or of a team.

        ``interfaces`` is the SHA-256 of the list of what the subject has found.

        Raises:
            LookupError: If it does not take part, or has no target list.
        """
        member = next((each for each in self.runs if each.name == agent), None)
        if member is None:
            raise LookupError(f"agent {agent!r} does not take part in the run")
        (name,) = (
            entry.target_list
            for entry in self.measurement.spec.agents
            if entry.name == member.entry
        )
        digest = self.lists[name] if name else interfaces
        if digest is None:
            raise LookupError(f"agents[{member.entry}] has no target list")
        return RunRecord(
            uid=self.uid,
            measurement=self.measurement,
            entry=member.entry,
            agent=member.agent,
            members=tuple(each.agent for each in self.find_team(agent)),
            policy=self.policy,
            target_list=digest,
            subject=self.subject,
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
