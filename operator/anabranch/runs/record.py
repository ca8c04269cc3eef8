"""What one agent's run starts with; it stays the same however often the run resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement
from anabranch.api.model import Model
from anabranch.api.policy import ProbingPolicySpec
from anabranch.api.text import AgentName, Digest
from anabranch.rounds.outcome import Rules
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from anabranch.api.measurement import MeasurementAgent
    from anabranch.api.tool import FlowParameters


class RunRecord(Model):
    """Who probes what, by which rules; ``run.json`` in the store."""

    uid: str
    """The UID of the measurement in the store."""
    measurement: Measurement
    """As it was when the run started, without its status."""
    entry: AgentName
    """Which of the measurement's agents this one is, or is of."""
    agent: Agent
    """As it was when the run started, without its status."""
    policy: ProbingPolicySpec
    """As it was when the run started; agents obey the one that there is."""
    target_list: Digest
    """The digest of the target list's content."""

    @property
    def keys(self) -> RunKeys:
        """Where its results go."""
        run_id = self.measurement.spec.run_id
        return RunKeys(self.uid, run_id, self.agent.metadata.name)

    @property
    def drop_private(self) -> bool:
        """Whether replies from private addresses are passed over."""
        return not (self.agent.spec.allow_reserved and self.policy.allow_reserved)

    @property
    def run_rules(self) -> Rules:
        """What decides how the run goes on."""
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
    def rate(self) -> int:
        """Probes a second."""
        return self.choose_rate(self.policy)

    def choose_rate(self, policy: ProbingPolicySpec) -> int:
        """Probes a second under another policy."""
        return choose_rate(self.agent, self._chosen, policy)

    @property
    def parameters(self) -> FlowParameters:
        """The tool's, with what the agent takes instead."""
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
        """It as JSON."""
        text = self.model_dump_json(
            by_alias=True,
            exclude={"measurement": {"status"}, "agent": {"status"}},
            exclude_none=True,
            indent=1,
        )
        return text.encode()


def choose_rate(
    agent: Agent, entry: MeasurementAgent, policy: ProbingPolicySpec
) -> int:
    """Probes a second that an agent may send for an entry of a measurement."""
    limits = (agent.spec.max_probing_rate, entry.probing_rate, policy.max_rate)
    return min(limit for limit in limits if limit is not None)
