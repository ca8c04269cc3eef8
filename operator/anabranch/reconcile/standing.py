"""Decides who serves a standing measurement, and what is said of it; pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from anabranch.api.annotation import StoredSource
from anabranch.api.connections import Standing
from anabranch.api.measurementstatus import (
    AgentCounts,
    MeasurementStatus,
    MeasurementTotals,
    UnhealthyAgent,
)
from anabranch.api.references import select_agents
from anabranch.manifests.rounds import name_standing, write_standing
from anabranch.reconcile.conditions import Conditions
from anabranch.reconcile.course import find_trouble, tell_failure
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateStandingRound,
    Decision,
    DeleteJob,
    DeleteRound,
)
from anabranch.reconcile.rationing import Purse, Ration, ration
from anabranch.reconcile.start import (
    EXCEEDED,
    NO_POLICY,
    STOPPED,
    Obstacle,
    find_agent_obstacles,
    find_quotas,
    find_waits,
)
from anabranch.runs.record import choose_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anabranch.api import Agent, Measurement, Round
    from anabranch.api.measurementspec import MeasurementAgent
    from anabranch.reconcile.observation import Action, AgentView, Observation

_MAX_NAMED = 20
_LIMIT = "PolicyLimit"
_NO_ROUND, _NOT_BEGUN = "its Round is not there yet", "it has not begun yet"
_LOOK_SECONDS = 30.0
"""The seconds until the next look, at what changes without a report."""


def decide_standing(seen: Observation) -> Decision:
    """Decide the status of a standing measurement, and who serves it now.

    Agents come and go: each that it chooses gets a Round, and each that it does not
    choose any more loses its own. Nothing here ends.
    """
    return _Decider(seen).decide()


@dataclass(frozen=True)
class _Post:
    """An agent that a standing measurement chooses."""

    entry: MeasurementAgent
    view: AgentView
    standing: Standing
    obstacle: str
    """Why it may not serve, if it may not."""
    found: Round | None
    """Its Round, if there is one of the present spec."""
    outdated: tuple[Round, ...]
    """Its Rounds of earlier specs, whose queue the one of the present spec takes."""
    short: str = ""
    """Why the namespace's quota does not let it serve now, if it does not."""

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Its Rounds that stay: those of earlier specs, until there is another one."""
        if self.obstacle:
            return ()
        return (self.found,) if self.found else self.outdated

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.view.agent.metadata.name

    @property
    def lack(self) -> str:
        """What keeps the agent itself from serving; nothing if it can."""
        if self.obstacle or self.view.is_ready:
            return self.obstacle
        return self.view.message or "it is not ready"

    @property
    def is_beginning(self) -> bool:
        """Whether nothing is wrong, and it does not serve yet."""
        return self.trouble in {_NO_ROUND, _NOT_BEGUN}

    @property
    def trouble(self) -> str:
        """Why it does not serve; nothing if it does."""
        if self.lack:
            return self.lack
        if self.short:
            return self.short
        if self.found is None:
            return _NO_ROUND
        if failure := tell_failure(self.found):
            return failure
        # What it said of an earlier rate counts, too.
        ready = (c for c in self.found.status.conditions if c.type == "Ready")
        if any(condition.status == "True" for condition in ready):
            return ""
        return find_trouble(self.found) or _NOT_BEGUN


@dataclass
class _Decider:
    seen: Observation
    posts: tuple[_Post, ...] = field(init=False)
    conditions: Conditions = field(init=False)

    def __post_init__(self) -> None:
        measurement = self.seen.measurement
        self.posts = tuple(_find_posts(self.seen))
        self.conditions = Conditions(
            measurement, measurement.status.conditions, self.seen.now
        )

    def decide(self) -> Decision:
        spec = self.seen.measurement.spec
        obstacle = _find_obstacle(self.seen, self.posts)
        rationed = self._ration(
            (*self._tidy(), *self._steer(obstacle), *self._post(obstacle))
        )
        message = "it goes on until it is suspended or removed"
        self.conditions.set("Complete", "InProgress", message, holds=False)
        if spec.suspend:
            self.conditions.set("Suspended", "Suspended", "suspend is true")
            self.conditions.set("Ready", "Suspended", "suspend is true", holds=False)
        elif obstacle:
            reason, message = obstacle.reason, obstacle.message
            if obstacle.is_for_good:
                self.conditions.set("Stalled", reason, message)
            self.conditions.set("Ready", reason, message, holds=False)
        elif spec.dry_run:
            message = self._rehearse()
            self.conditions.set("Ready", "DryRun", message)
            self.conditions.set("Complete", "DryRun", message)
        elif served := sum(not post.trouble for post in self.posts):
            message = f"{served} of {len(self.posts)} agents serve"
            message += "".join(f"; {lack}" for lack in _find_missing(self.seen))
            self.conditions.set("Ready", "Serving", message)
        elif began := sum(post.is_beginning for post in self.posts):
            message = f"{began} of {len(self.posts)} agents begin to serve"
            self.conditions.set("Ready", "Starting", message, holds=False)
        elif short := next((post for post in self.posts if post.short), None):
            message = f"{short.name}: {short.short}"
            self.conditions.set("Ready", EXCEEDED, message, holds=False)
        else:
            first = self.posts[0]
            message = f"{first.name}: {first.trouble}"
            self.conditions.set("Ready", "AgentsUnavailable", message, holds=False)
        told = self._describe()
        return Decision(told, rationed.actions, self._find_wait(), rationed.wanted)

    def _ration(self, actions: tuple[Action, ...]) -> Ration:
        """Find what the namespace's quota allows, and note whom it leaves out."""
        seen = self.seen
        if seen.budget is None:
            return Ration(actions)
        purse = Purse(seen.measurement, seen.budget, len(self.posts))
        rationed = ration(purse, seen.rounds.values(), actions)
        self.posts = tuple(
            replace(post, short=rationed.short.get(post.name, ""))
            for post in self.posts
        )
        return rationed

    def _rehearse(self) -> str:
        able = [post.name for post in self.posts if not post.lack]
        names = ", ".join(able[:_MAX_NAMED])
        more = len(able) - _MAX_NAMED
        names += f" and {more} more" if more > 0 else ""
        return (
            f"{len(able)} of {len(self.posts)} agents would serve"
            f"{names and f' ({names})'}; set dryRun to false to start"
        )

    def _tidy(self) -> Iterator[Action]:
        """Remove Rounds of what is not wanted any more, and Jobs of earlier runs."""
        wanted: set[str] = set()
        if not self.seen.measurement.spec.dry_run:
            wanted = {each.metadata.name for post in self.posts for each in post.rounds}
        for name, each in self.seen.rounds.items():
            if name not in wanted:
                yield DeleteRound(name, each.metadata.uid)
        for job in self.seen.jobs.values():
            yield DeleteJob(job.name, job.uid)

    def _steer(self, obstacle: Obstacle | None) -> Iterator[Action]:
        """Give each Round the rate of its agent, and suspend it with the rest.

        One of an earlier spec only waits for another one that takes its queue.
        """
        spec, policy = self.seen.measurement.spec, self.seen.policy
        if spec.dry_run:
            return
        suspend = spec.suspend or (obstacle is not None and obstacle.reason == _LIMIT)
        for post in self.posts:
            for each in post.rounds:
                rate, pauses = each.spec.rate, suspend or each is not post.found
                if policy:
                    rate = choose_rate(post.view.agent, post.entry, policy)
                if (each.spec.rate, each.spec.suspend) != (rate, pauses):
                    yield ChangeRound(each.metadata.name, rate, pauses)

    def _post(self, obstacle: Obstacle | None) -> Iterator[Action]:
        """Make the Rounds that are missing; what is in the way of that ends none."""
        spec, policy = self.seen.measurement.spec, self.seen.policy
        if policy is None or obstacle or spec.suspend or spec.dry_run:
            return
        for post in self.posts:
            if post.found is None and not post.obstacle:
                agent = post.view.agent
                rate = choose_rate(agent, post.entry, policy)
                yield CreateStandingRound(agent, post.standing, rate)

    def _describe(self) -> MeasurementStatus:
        measurement, posts = self.seen.measurement, self.posts
        is_dry = measurement.spec.dry_run
        troubles = {post.name: post.lack if is_dry else post.trouble for post in posts}
        able = sum(not trouble for trouble in troubles.values())
        statuses = [post.found.status for post in posts if post.found]
        return MeasurementStatus(
            observed_generation=measurement.metadata.generation,
            # Without a startTime, the spec may change at any time.
            run_id=measurement.spec.run_id,
            conditions=self.conditions.all,
            totals=MeasurementTotals(
                probes=sum(status.probes_sent or 0 for status in statuses),
                replies=sum(status.replies_received or 0 for status in statuses),
            ),
            agents=AgentCounts(total=len(posts), running=len(statuses)),
            agents_summary=f"{able}/{len(posts)}",
            unhealthy_agents=tuple(
                UnhealthyAgent(name=name, reason=trouble[:1024])
                for name, trouble in troubles.items()
                if trouble
            )[:_MAX_NAMED],
        )

    def _find_wait(self) -> float:
        starts = self.seen.measurement.spec.start_at
        if starts is None or starts <= self.seen.now:
            return _LOOK_SECONDS
        return min((starts - self.seen.now).total_seconds(), _LOOK_SECONDS)


def _find_posts(seen: Observation) -> Iterator[_Post]:
    """Find each agent that the measurement chooses, for the first entry that does."""
    measurement = seen.measurement
    obstacles = {
        each.agent: each.message for each in find_agent_obstacles(seen) if each.agent
    }
    known = [view.agent for view in seen.agents.values()]
    posted: set[str] = set()
    for entry in measurement.spec.agents:
        standing = _make_standing(measurement, entry)
        does = write_standing(standing) if standing else ""
        for agent in select_agents(entry, known):
            name = agent.metadata.name
            if standing is None or name in posted:
                continue
            posted.add(name)
            yield _Post(
                entry=entry,
                view=seen.agents[name],
                standing=standing,
                obstacle=obstacles.get(name, ""),
                found=seen.rounds.get(name_standing(measurement, agent, does)),
                outdated=tuple(_find_outdated(seen, agent)),
            )


def _find_outdated(seen: Observation, agent: Agent) -> Iterator[Round]:
    """Yield standing Rounds of an agent that have the queue of the present run."""
    run_id, node = seen.measurement.spec.run_id, agent.spec.node_name
    of_it = run_id, agent.metadata.name, node
    for each in seen.rounds.values():
        spec = each.spec
        if spec.standing and (spec.run_id, spec.agent, spec.node_name) == of_it:
            yield each


def _make_standing(
    measurement: Measurement, entry: MeasurementAgent
) -> Standing | None:
    spec = measurement.spec
    if entry.connections is None or spec.trace is None:
        return None
    return Standing(
        connections=entry.connections,
        trace=spec.trace,
        failure_probability=spec.failure_probability,
        annotate_from=tuple(
            StoredSource(object=source.object)
            for source in spec.annotate_from
            if source.object
        ),
    )


def _find_missing(seen: Observation) -> list[str]:
    """Return what is to be said of entries that choose no agent."""
    found = find_agent_obstacles(seen)
    return [each.message for each in found if each.reason == "AgentMissing"]


def _find_obstacle(seen: Observation, posts: Sequence[_Post]) -> Obstacle | None:
    return next(_find_obstacles(seen, posts), None)


def _find_obstacles(seen: Observation, posts: Sequence[_Post]) -> Iterator[Obstacle]:
    """Yield what keeps all agents from serving, or new ones from beginning to."""
    policy = seen.policy
    if policy is None:
        yield NO_POLICY
        return
    if seconds := policy.limits.max_duration_seconds:
        message = f"the policy lets nothing go on for more than {seconds} s, and this "
        message += "has no end; have an admin remove maxDurationSeconds"
        yield Obstacle(_LIMIT, message, is_for_good=True)
    wrong = list(find_agent_obstacles(seen))
    yield from (each for each in wrong if each.is_for_good)
    able = [post.name for post in posts if not post.obstacle]
    if not able:
        yield from wrong
    if policy.stop:
        yield STOPPED
    # Once it serves, there may be fewer agents.
    if not any(each.spec.standing for each in seen.rounds.values()):
        yield from find_waits(seen, able)
        yield from find_quotas(seen)
