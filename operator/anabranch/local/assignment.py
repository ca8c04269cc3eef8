"""The work of each agent in a local run, and the network that it probes from."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement, TargetList
from anabranch.api.manifest import ManifestError
from anabranch.api.model import broken_transitions
from anabranch.api.references import select_agents
from anabranch.local.policyfile import find_policy
from anabranch.local.targetlist import read_target_list
from anabranch.runs.assignment import Assignment, assign
from anabranch.runs.record import RunRecord
from anabranch.runs.team import unite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch_engine import TargetList as TargetContent

    from anabranch.api.document import Path as FieldPath
    from anabranch.api.manifest import Document, Manifests, Problem
    from anabranch.api.measurementstatus import Subject
    from anabranch.store.directory import DirectoryStore

NETWORKS = Path("/run/netns")
"""The folder in which ``ip netns`` keeps named network namespaces."""
LOCALHOST = "localhost"
_VANTAGE = (
    *("node_name", "interface", "source_address_v4", "source_address_v6"),
    *("min_ttl", "max_ttl"),
)
"""Agent fields that paths depend on.

A run must not mix replies from before and after a change of one of them.
"""


class RunError(RuntimeError):
    """A reason why a run can't start or resume, with the remedy."""


def assign_all(
    manifests: Manifests,
    document: Document[Measurement],
    found: tuple[Subject, TargetContent] | None = None,
) -> Iterator[Assignment]:
    """Yield what each agent of a measurement has to do.

    ``found`` is the run that it compares, and its interfaces, if its tool is aliases.

    Raises:
        ManifestError: When the content of a target list can't be had, with the reasons.
    """
    measurement = document.object
    namespace, name = measurement.key
    policy = find_policy(manifests)
    if policy is None:
        raise RunError("there is no ProbingPolicy 'default'; add it")
    agents = [each.object for each in manifests.of_kind(Agent)]
    problems: list[Problem] = []
    for index, entry in enumerate(measurement.spec.agents):
        at: FieldPath = ("spec", "agents", index)
        if found:
            subject, content = found
        elif entry.target_list is None:
            continue
        else:
            subject, content = None, None
            if listed := manifests.find(TargetList, (namespace, entry.target_list)):
                content = read_target_list(listed, manifests)
        if content is None:
            message = "its content is not here: a local run takes entries or a file"
            problems.append(document.problem((*at, "targetList"), message))
            continue
        chosen = select_agents(entry, agents)
        members: tuple[Agent, ...] = ()
        if entry.division == "shared" and chosen:
            members = tuple(chosen)
            chosen = [unite(entry.name, members)]
        for agent in chosen:
            record = RunRecord(
                uid=f"{namespace}.{name}",
                measurement=measurement,
                entry=entry.name,
                agent=agent,
                members=members,
                policy=policy,
                target_list=content.digest(),
                subject=subject,
            )
            yield assign(record, content)
    if problems:
        raise ManifestError(problems)


def find_network(agent: Agent) -> Path | None:
    """Return an agent's network namespace; None for that of this machine.

    Raises:
        RunError: When the node is neither this machine nor a network namespace of it.
    """
    node = agent.spec.node_name
    if node in {LOCALHOST, socket.gethostname()}:
        return None
    network = NETWORKS / node
    if network.exists():
        return network
    raise RunError(
        f"Agent {agent.metadata.name!r} is on node {node!r}, which is neither this "
        f"machine nor a network namespace of it; let nodeName be {LOCALHOST!r} to "
        f"probe from here, or make one: ip netns add {node}"
    )


def start_or_resume(
    assignment: Assignment, store: DirectoryStore, scratch: Path
) -> None:
    """Record the inputs of a run when it starts; check them when it resumes.

    Also store the targets if the store lacks them.

    Raises:
        RunError: When the run was started with other inputs.
    """
    record = assignment.record
    if not store.put(record.keys.run, record.write()):
        _compare(RunRecord.model_validate_json(store.get(record.keys.run)), record)
    if not store.path(record.keys.targets).exists():
        assignment.put_targets(store, scratch)


def _compare(theirs: RunRecord, ours: RunRecord) -> None:
    """Raise RunError if a run was started with other inputs."""
    run_id = ours.measurement.spec.run_id
    status = {"runId": run_id, "startTime": "2000-01-01T00:00:00Z"}
    written = theirs.measurement.model_dump(
        mode="json", by_alias=True, exclude={"status"}, exclude_none=True
    )
    before = Measurement.read(written | {"status": status})
    broken = broken_transitions(before, ours.measurement)
    if theirs.target_list != ours.target_list:
        broken.append("the run has started with another target list; set a new runId")
    earlier = {each.metadata.name: each.spec for each in theirs.senders}
    pairs = [(theirs.agent.spec, ours.agent.spec)] + [
        (earlier[each.metadata.name], each.spec)
        for each in ours.senders
        if each.metadata.name in earlier
    ]
    changed = [
        field
        for field in _VANTAGE
        if any(getattr(was, field) != getattr(now, field) for was, now in pairs)
    ]
    if theirs.drop_private != ours.drop_private:
        changed.append("allow_reserved")
    if changed:
        broken.append(
            f"the run has started with another {', '.join(changed)} of the agent; "
            "set a new runId"
        )
    if broken:
        raise RunError(f"Agent {ours.agent.metadata.name!r}: {'; '.join(broken)}")
