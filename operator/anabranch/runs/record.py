"""The record of one agent's run: written at its start, and fixed when it resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement
from anabranch.api.measurementstatus import Subject
from anabranch.api.model import Model
from anabranch.api.policy import ProbingPolicySpec
from anabranch.api.text import AgentName, Digest
from anabranch.rounds.outcome import Rules
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from anabranch_engine import TraceParameters

    from anabranch.api.measurementspec import MeasurementAgent
    from anabranch.api.tool import FlowParameters


IMPORTED = "file://imported"
"""The contact of a run that was made of files: nobody sent its probes."""


class RunRecord(Model):
    """Who probes what, and by which rules; stored as ``run.json``."""

    uid: str
    """The UID of the measurement in the store."""
    measurement: Measurement
    """The measurement as it was when the run started, without its status."""
    entry: AgentName
    """The entry of the measurement's agents that names or selects this agent."""
    agent: Agent
    """The agent as it was when the run started, without its status."""
    members: tuple[Agent, ...] = ()
    """The agents of a team, which share the targets. ``agent`` is then the team, as one
    agent: see ``unite``."""
    policy: ProbingPolicySpec
    """The policy as it was when the run started. While probing, agents obey the current
    one."""
    target_list: Digest
    """The SHA-256 of the target list's content."""
    subject: Subject | None = None
    """The run whose interfaces are compared; None of other tools than aliases."""

    @property
    def keys(self) -> RunKeys:
        """The keys of the run's objects in the store."""
        run_id = self.measurement.spec.run_id
        return RunKeys(self.uid, run_id, self.agent.metadata.name)

    @property
    def is_imported(self) -> bool:
        """Whether the run was made of files."""
        return self.policy.contact == IMPORTED

    @property
    def drop_private(self) -> bool:
        """Whether replies from private addresses are ignored."""
        return not (self.agent.spec.allow_reserved and self.policy.allow_reserved)

    @property
    def run_rules(self) -> Rules:
        """The rules that decide how the run continues."""
        spec, agent = self.measurement.spec, self.agent.spec
        return Rules(
            tool=spec.tool,
            max_rounds=spec.max_rounds,
            failure_probability=spec.failure_probability,
            min_ttl=agent.min_ttl,
            max_ttl=agent.max_ttl,
            drop_private=self.drop_private,
        )

    @property
    def tracing(self) -> TraceParameters | None:
        """How targets are traced; None if plans say each probe."""
        # The operator reads records, and does without what plans take.
        from anabranch.rounds.tools import face_of  # noqa: PLC0415

        rules = self.run_rules
        return face_of(rules.tool).trace(rules.failure_probability)

    @property
    def senders(self) -> tuple[Agent, ...]:
        """The agents that probe: the members of a team, or the agent."""
        return self.members or (self.agent,)

    @property
    def rate(self) -> int:
        """The rate of all senders together, in probes a second."""
        return sum(self.choose_rate(each, self.policy) for each in self.senders)

    def choose_rate(self, sender: Agent, policy: ProbingPolicySpec) -> int:
        """Return a sender's rate under a policy, in probes a second."""
        return choose_rate(sender, self._chosen, policy)

    @property
    def parameters(self) -> FlowParameters:
        """The tool's parameters, with the agent's overrides."""
        tool, overrides = self.measurement.spec.tool, self._chosen.parameters
        if overrides is None:
            return tool
        given = overrides.model_dump(exclude_none=True, exclude_unset=True)
        if "flow_mapper" in given:
            # Its kwargs stand beside it: those of the tool's mapper do not fit.
            given = {"flow_mapper_kwargs": None} | given
        if kwargs := overrides.flow_mapper_kwargs:
            given["flow_mapper_kwargs"] = kwargs
        return tool.model_copy(update=given)

    @property
    def _chosen(self) -> MeasurementAgent:
        entries = self.measurement.spec.agents
        return next(each for each in entries if each.name == self.entry)

    def write(self) -> bytes:
        """Return the record as JSON."""
        text = self.model_dump_json(
            by_alias=True,
            exclude={
                "measurement": {"status"},
                "agent": {"status"},
                "members": {"__all__": {"status"}} if self.members else True,
            },
            exclude_none=True,
            indent=1,
        )
        return text.encode()


def choose_rate(
    agent: Agent, entry: MeasurementAgent, policy: ProbingPolicySpec
) -> int:
    """Return the rate of an agent for an entry of a measurement, in probes a second.

    It is the lowest of the limits of the agent, the entry and the policy.
    """
    limits = (agent.spec.max_probing_rate, entry.probing_rate, policy.max_rate)
    return min(limit for limit in limits if limit is not None)
