"""Decides whether a run can start, and with which agents; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.references import select_agents
from anabranch.runs.roster import Member, Roster, gather_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from anabranch.api import Measurement
    from anabranch.api.measurementstatus import PinnedList, Subject
    from anabranch.reconcile.observation import Observation


@dataclass(frozen=True)
class Obstacle:
    """A reason why a run can't start."""

    reason: str
    message: str
    is_for_good: bool = False
    """Whether somebody has to change the measurement."""
    agent: str = ""
    """The agent that it concerns, if it is just one."""


EXCEEDED = "QuotaExceeded"
"""The reason of what waits since its namespace has done what it may."""
NO_POLICY = Obstacle(
    "NoPolicy",
    "there is no valid ProbingPolicy 'default' in the system namespace, and without "
    "one nothing is sent; have an admin add it",
)
STOPPED = Obstacle(
    "ProbingStopped", "the ProbingPolicy stops all probing, until its stop is false"
)


def find_obstacle(seen: Observation) -> Obstacle | None:
    """Return the most important obstacle to a run, or None if it can start."""
    return next(_find_obstacles(seen), None)


def find_members(seen: Observation) -> tuple[Member, ...]:
    """Return the agents that a measurement selects and that serve it, each once."""
    namespace = seen.measurement.metadata.namespace
    members: dict[str, Member] = {}
    known = [view.agent for view in seen.agents.values()]
    for entry in seen.measurement.spec.agents:
        for agent in select_agents(entry, known):
            allowed = agent.spec.allowed_namespaces
            if allowed is None or namespace in allowed:
                member = Member(entry=entry.name, agent=agent)
                members.setdefault(agent.metadata.name, member)
    return tuple(members.values())


def make_roster(
    seen: Observation,
    lists: tuple[PinnedList, ...],
    subject: Subject | None,
    started: datetime | None = None,
) -> Roster:
    """Make the roster of a run, with these contents of target lists, or this subject.

    Raises:
        ValueError: Without a policy.
    """
    if seen.policy is None:
        raise ValueError("a run needs a policy")
    return Roster(
        uid=seen.measurement.metadata.uid,
        started=started,
        measurement=seen.measurement,
        policy=seen.policy,
        lists={each.name: each.digest for each in lists},
        subject=subject,
        members=find_members(seen),
    )


def _find_obstacles(seen: Observation) -> Iterator[Obstacle]:
    spec = seen.measurement.spec
    policy = seen.policy
    if policy is None:
        yield NO_POLICY
        return
    if spec.max_rounds > policy.limits.max_rounds:
        yield Obstacle(
            "PolicyLimit",
            f"maxRounds is {spec.max_rounds}, but the policy allows "
            f"{policy.limits.max_rounds}; lower it",
            is_for_good=True,
        )
    yield from find_agent_obstacles(seen)
    yield from _find_team_obstacles(seen)
    yield from _find_list_obstacles(seen)
    yield from _find_subject_obstacles(seen)
    if policy.stop:
        yield STOPPED
    yield from find_waits(seen, [each.name for each in find_members(seen)])
    yield from find_quotas(seen)


def waits_for_quota(measurement: Measurement) -> bool:
    """Return whether a measurement waits since its namespace has done what it may."""
    ready = measurement.find_condition("Ready")
    return ready is not None and ready.reason == EXCEEDED


def find_quotas(seen: Observation) -> Iterator[Obstacle]:
    """Yield which quotas of its namespace let a run not start now."""
    if seen.measurement.spec.dry_run:
        return
    runs, budget = seen.run_count, seen.budget
    if runs and runs.under_way + runs.ahead >= runs.limit:
        yield Obstacle(EXCEEDED, runs.tell())
    if budget and budget.left <= 0:
        yield Obstacle(EXCEEDED, budget.tell())


def find_waits(seen: Observation, names: Sequence[str]) -> Iterator[Obstacle]:
    """Yield what the measurement itself says that a start with some agents awaits."""
    spec = seen.measurement.spec
    if spec.start_at and spec.start_at > seen.now:
        when = spec.start_at.isoformat(timespec="seconds")
        yield Obstacle("NotYet", f"it starts at {when}")
    if spec.dry_run:
        return
    waiting = [
        f"{name} ({seen.agents[name].reason})"
        for name in names
        if not seen.agents[name].is_ready
    ]
    ready = len(names) - len(waiting)
    if ready < spec.min_agents:
        more = f"; not ready: {', '.join(waiting[:5])}" if waiting else ""
        yield Obstacle(
            "WaitingForAgents",
            f"{ready} of {len(names)} agents are ready, and minAgents is "
            f"{spec.min_agents}{more}",
        )


def find_agent_obstacles(seen: Observation) -> Iterator[Obstacle]:
    """Yield what is wrong with the agents that a measurement chooses."""
    metadata, spec = seen.measurement.metadata, seen.measurement.spec
    known = [view.agent for view in seen.agents.values()]
    chosen: dict[str, str] = {}
    for entry in spec.agents:
        selected = select_agents(entry, known)
        if not selected:
            what = "has such labels" if entry.selector else f"is named {entry.name!r}"
            message = f"agents[{entry.name}]: no Agent {what}; add one, or correct it"
            yield Obstacle("AgentMissing", message)
        for agent in selected:
            name, allowed = agent.metadata.name, agent.spec.allowed_namespaces
            if allowed is not None and metadata.namespace not in allowed:
                yield Obstacle(
                    "AgentNotAllowed",
                    f"Agent {name!r} does not serve namespace {metadata.namespace!r}; "
                    "have an admin add it to the agent's allowedNamespaces",
                    agent=name,
                )
            needs_socket = entry.connections and entry.connections.source != "kernel"
            if needs_socket and agent.spec.event_socket is None:
                yield Obstacle(
                    "EventSocketMissing",
                    f"Agent {name!r} names no eventSocket; have an admin set it, or "
                    f"give agents[{entry.name}] the source kernel",
                    agent=name,
                )
            other = chosen.setdefault(name, entry.name)
            if other != entry.name:
                message = f"Agent {name!r} is chosen by agents[{other}] and "
                remedy = f"agents[{entry.name}]; let only one choose it"
                yield Obstacle("AgentTwice", message + remedy, is_for_good=True)


def _find_team_obstacles(seen: Observation) -> Iterator[Obstacle]:
    members = {member.name for member in find_members(seen)}
    for entry in seen.measurement.spec.agents:
        if entry.division == "shared" and entry.name in members:
            message = f"agents[{entry.name}]: an Agent that takes part has this name "
            remedy = "too; give the team another name"
            yield Obstacle("TeamNameTaken", message + remedy, is_for_good=True)
    try:
        gather_runs(seen.measurement, find_members(seen))
    except ValueError as error:
        yield Obstacle("TeamImpossible", str(error), is_for_good=True)


def _find_list_obstacles(seen: Observation) -> Iterator[Obstacle]:
    for entry in seen.measurement.spec.agents:
        name = entry.target_list
        if name is None:
            continue
        found = seen.lists.get(name)
        if found is None:
            namespace = seen.measurement.metadata.namespace
            message = f"there is no TargetList {name!r} in namespace {namespace!r}"
            yield Obstacle("TargetListMissing", f"{message}; add it, or correct it")
        elif not found.holds("Ready"):
            ready = found.find_condition("Ready")
            why = ready.message if ready else "it was not looked at yet"
            yield Obstacle("TargetListNotReady", f"TargetList {name!r}: {why}")
        elif name in seen.unchecked:
            message = f"TargetList {name!r}: its content was replaced; it is checked"
            yield Obstacle("TargetListNotReady", message)


def _find_subject_obstacles(seen: Observation) -> Iterator[Obstacle]:
    aliases, subject = seen.measurement.spec.aliases, seen.subject
    if aliases is None:
        return
    if subject is None:
        namespace = seen.measurement.metadata.namespace
        message = f"there is no Measurement {aliases.of!r} in namespace {namespace!r}"
        yield Obstacle("SubjectMissing", f"{message}; add it, or correct aliases.of")
    elif subject.spec.aliases:
        message = f"Measurement {aliases.of!r} is of the tool aliases itself"
        yield Obstacle(
            "SubjectUnusable",
            f"{message}; let aliases.of name one with paths",
            is_for_good=True,
        )
    elif not subject.is_finished:
        message = f"Measurement {aliases.of!r} is not complete"
        yield Obstacle("SubjectNotComplete", f"{message}; it starts when it is")
    elif not subject.holds("Complete"):
        message = f"Measurement {aliases.of!r} has failed"
        yield Obstacle("SubjectNotComplete", f"{message}; run it again to its end")
