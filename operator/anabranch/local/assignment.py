"""What each agent has to do in a measurement, and from where."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from anabranch_engine import Plan

from anabranch.api import Agent, Measurement, ProbingPolicy, TargetList
from anabranch.api.agent import AgentSpec
from anabranch.api.manifest import ManifestError
from anabranch.api.model import broken_transitions
from anabranch.api.policy import POLICY_NAME
from anabranch.api.references import select_agents
from anabranch.api.tool import DiamondMiner
from anabranch.local.targetlist import read_target_list
from anabranch.rounds.planning import ask_first, ask_ttls
from anabranch.rounds.targets import choose_targets
from anabranch.store.keys import RunKeys
from anabranch.warehouse.job import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from anabranch_engine import Targets

    from anabranch.api.document import Path as FieldPath
    from anabranch.api.manifest import Document, Manifests, Problem
    from anabranch.api.measurement import MeasurementAgent
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.api.tool import FlowParameters
    from anabranch.store.directory import DirectoryStore

NETWORKS = Path("/run/netns")
"""Where ``ip netns`` keeps the network namespaces that have names."""
LOCALHOST = "localhost"


@dataclass(frozen=True)
class Assignment:
    """What one agent has to do."""

    agent: Agent
    measurement: Measurement
    policy: ProbingPolicySpec
    targets: Targets
    digest: str
    """What tells the target list's content."""
    parameters: FlowParameters
    """The tool's, with what the agent takes instead."""
    rate: int
    """Probes a second."""

    @property
    def keys(self) -> RunKeys:
        """Where its results go."""
        spec, metadata = self.measurement.spec, self.measurement.metadata
        uid = f"{metadata.namespace}.{metadata.name}"
        return RunKeys(uid, spec.run_id, self.agent.metadata.name)

    @property
    def rules(self) -> Rules:
        """What decides how the run goes on."""
        spec, agent = self.measurement.spec, self.agent.spec
        return Rules(
            tool=spec.tool,
            max_rounds=spec.max_rounds,
            failure_probability=spec.failure_probability,
            min_ttl=agent.min_ttl,
            max_ttl=agent.max_ttl,
            drop_private=not (agent.allow_reserved and self.policy.allow_reserved),
        )

    def find_network(self) -> Path | None:
        """The network namespace of the agent's node; none for this machine's own.

        Raises:
            RunError: When its node is neither.
        """
        node = self.agent.spec.node_name
        if node in {LOCALHOST, socket.gethostname()}:
            return None
        network = NETWORKS / node
        if network.exists():
            return network
        raise RunError(
            f"Agent {self.agent.metadata.name!r} is on node {node!r}, which is neither "
            f"this machine nor a network namespace of it; let nodeName be "
            f"{LOCALHOST!r} to probe from here, or make one: ip netns add {node}"
        )

    def write_targets(self, file: Path, blocks: int | None = None) -> Plan:
        """Writes all targets, with the parameters of flows, as a plan."""
        given = self.parameters
        kwargs = given.flow_mapper_kwargs
        seed, step = (kwargs.seed, kwargs.step) if kwargs else (None, None)
        run = f"{self.keys.measurement}/{self.keys.run_id}".encode()
        return Plan.write(
            file,
            self.targets,
            initial_source_port=given.initial_source_port,
            destination_port=given.destination_port,
            flow_mapper=given.flow_mapper,
            order_seed=int.from_bytes(hashlib.sha256(run).digest()[:8]),
            seed=_choose(given.flow_mapper, "RandomFlowMapper", seed, 42),
            step=_choose(given.flow_mapper, "IntervalFlowMapper", step, 32),
            blocks=blocks,
        )

    def count_probes(self, file: Path) -> int:
        """The probes that a run begins with; Diamond-Miner's, in all of its windows.

        ``file`` is where the targets may be written to.
        """
        targets = self.write_targets(file, blocks=1)
        prefixes, rules = pq.read_table(targets.path), self.rules
        bounds = (rules.min_ttl, rules.max_ttl)
        if isinstance(rules.tool, DiamondMiner):
            demands = ask_ttls(prefixes, *bounds)
        else:
            demands = ask_first(rules.tool, prefixes, bounds)
        return targets.ask(file.with_suffix(".asked"), [demands]).probes

    def start_or_resume(self, store: DirectoryStore, scratch: Path) -> None:
        """Notes what the run is, the first time; later, that it is still the same.

        Raises:
            RunError: When the run was started with something else.
        """
        ours = {
            "measurement": self.measurement.model_dump(
                mode="json", by_alias=True, exclude={"status"}
            ),
            "targetList": self.digest,
            "dropPrivate": self.rules.drop_private,
            "agent": self.agent.spec.model_dump(
                mode="json", by_alias=True, exclude_none=True
            ),
        }
        text = json.dumps(ours, indent=1)
        if not store.put(self.keys.run, text.encode()):
            self._compare(json.loads(store.get(self.keys.run)))
        if not store.path(self.keys.targets).exists():
            draft = self.write_targets(scratch / "targets.parquet")
            store.put_file(self.keys.targets, draft.path)
            draft.path.unlink()

    def _compare(self, theirs: dict[str, Any]) -> None:
        name = self.agent.metadata.name
        status = {
            "runId": self.measurement.spec.run_id,
            "startTime": "2000-01-01T00:00:00Z",
        }
        before = Measurement.read(theirs["measurement"] | {"status": status})
        broken = broken_transitions(before, self.measurement)
        if theirs["targetList"] != self.digest:
            broken.append(
                "the run has started with another target list; set a new runId"
            )
        was = AgentSpec.read(theirs["agent"])
        changed = [
            field
            for field in _VANTAGE
            if getattr(was, field) != getattr(self.agent.spec, field)
        ]
        if theirs["dropPrivate"] != self.rules.drop_private:
            changed.append("allow_reserved")
        if changed:
            broken.append(
                f"the run has started with another {', '.join(changed)} of the agent; "
                "set a new runId"
            )
        if broken:
            raise RunError(f"Agent {name!r}: {'; '.join(broken)}")


_VANTAGE = (
    *("node_name", "interface", "source_address_v4", "source_address_v6"),
    *("min_ttl", "max_ttl"),
)
"""What paths depend on: replies of before and after a change are not of the same."""


class RunError(RuntimeError):
    """Why a run can't begin or go on, with the remedy."""


def _choose(name: str, wanted: str, given: int | None, usual: int) -> int | None:
    """A mapper's own parameter; none of another's."""
    if name != wanted:
        return None
    return usual if given is None else given


def assign(
    manifests: Manifests, document: Document[Measurement]
) -> Iterator[Assignment]:
    """What each agent of a measurement has to do.

    Raises:
        ManifestError: When one of them can't, with the reason.
    """
    measurement = document.object
    policy = next(
        each.object.spec
        for each in manifests.of_kind(ProbingPolicy)
        if each.object.metadata.name == POLICY_NAME
    )
    agents = [each.object for each in manifests.of_kind(Agent)]
    problems: list[Problem] = []
    for index, entry in enumerate(measurement.spec.agents):
        at: FieldPath = ("spec", "agents", index)
        key = (measurement.metadata.namespace, entry.target_list)
        found = manifests.find(TargetList, key)
        content = read_target_list(found, manifests) if found else None
        if content is None:
            message = "its content is not here: a local run takes entries or a file"
            problems.append(document.problem((*at, "targetList"), message))
            continue
        for agent in select_agents(entry, agents):
            yield Assignment(
                agent=agent,
                measurement=measurement,
                policy=policy,
                targets=choose_targets(
                    content, measurement.spec.tool, policy, agent.spec
                ),
                digest=content.digest(),
                parameters=_merge(measurement, entry),
                rate=_choose_rate(agent, entry, policy),
            )
    if problems:
        raise ManifestError(problems)


def _merge(measurement: Measurement, entry: MeasurementAgent) -> FlowParameters:
    tool = measurement.spec.tool
    if entry.parameters is None:
        return tool
    given = entry.parameters.model_dump(exclude_none=True, exclude_unset=True)
    if "flow_mapper" in given:
        # Its kwargs stand beside it: those of the tool's mapper do not fit.
        given = {"flow_mapper_kwargs": None} | given
    if kwargs := entry.parameters.flow_mapper_kwargs:
        given["flow_mapper_kwargs"] = kwargs
    return tool.model_copy(update=given)


def _choose_rate(
    agent: Agent, entry: MeasurementAgent, policy: ProbingPolicySpec
) -> int:
    limits = (agent.spec.max_probing_rate, entry.probing_rate, policy.max_rate)
    return min(limit for limit in limits if limit is not None)
