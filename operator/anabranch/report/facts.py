"""The facts that a report tells, gathered from a survey's results."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from anabranch.report.graphs import DIAMONDS, choose_graphs
from anabranch.rounds.outcome import add_missing
from anabranch.rounds.shortfall import TargetCounts, find_coverage
from anabranch.rounds.steps import Step
from anabranch.runs.chain import read_outcomes
from anabranch.warehouse.counts import count_new_links, rank_interfaces
from anabranch.warehouse.results import NothingYetError
from anabranch.warehouse.routers import count_routers
from anabranch.warehouse.traces import count_ends, find_spans

if TYPE_CHECKING:
    from anabranch.report.graphs import Graph
    from anabranch.rounds.outcome import Outcome
    from anabranch.rounds.shortfall import Coverage
    from anabranch.runs.record import RunRecord
    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.diamonds import DiamondStatistics
    from anabranch.warehouse.results import Results
    from anabranch.warehouse.routers import RouterStatistics

    Rows = list[dict[str, Any]]

ROWS = 20
"""The most rows of a table of the largest."""


@dataclass(frozen=True)
class AgentFacts:
    """How an agent's part of a run went, as far as its steps are concluded."""

    name: str
    record: RunRecord | None
    """What its run was started with; None if it did not start."""
    targets: TargetCounts | None
    """The number of its targets; None if they were not counted."""
    outcomes: dict[Step, Outcome]
    spans: dict[Step, tuple[int, int]]
    """When probing began and ended in each step, in microseconds since 1970."""

    @property
    def coverage(self) -> Coverage:
        """How much of what was asked for it covers."""
        return find_coverage(self.targets, list(self.outcomes.values()))

    @property
    def last(self) -> Outcome | None:
        """The outcome of its last step so far."""
        return next(reversed(self.outcomes.values()), None)

    @property
    def is_over(self) -> bool:
        """Whether no further step follows."""
        return self.last is not None and self.last.next is None

    @property
    def probes(self) -> int:
        """The number of probes that it sent."""
        return sum(outcome.probes for outcome in self.outcomes.values())

    @property
    def replies(self) -> int:
        """The number of replies that it received."""
        return sum(outcome.replies for outcome in self.outcomes.values())

    @property
    def rate(self) -> float | None:
        """The probes a second that it sent while it probed; None if times are alike."""
        spans = [self.spans[step] for step in self.outcomes if step in self.spans]
        took = sum(last - first for first, last in spans)
        return self.probes * 1e6 / took if took else None


@dataclass(frozen=True)
class RoundFacts:
    """How a round went, for all agents together."""

    number: int
    agents: int
    probes: int
    replies: int
    span: tuple[int, int] | None
    """When probing began and ended, in microseconds since 1970; None if unknown."""
    new_links: int
    """The links that no agent had found before it."""


@dataclass(frozen=True)
class DiamondFacts:
    """The statistics of diamonds, as ``DiamondStatistics`` has them."""

    kinds: dict[str, dict[str, int]]
    distributions: Rows
    sizes: Rows
    widest: Rows
    commonest: Rows


@dataclass(frozen=True)
class Facts:
    """All that a report tells."""

    agents: list[AgentFacts]
    new_links: dict[int, int]
    """The links that no agent had found before, by round."""
    found: dict[str, int]
    """The numbers of interfaces and links."""
    hubs: Rows
    """The interfaces with the most next hops."""
    diamonds: DiamondFacts | None
    """None if no links are known yet."""
    ends: Rows
    """How traces ended, if the tool traces."""
    routers: RouterStatistics | None
    """None if nobody looked for aliases."""
    router_diamonds: DiamondFacts | None
    """The diamonds between routers; None if these or links are not known."""
    graphs: list[Graph]
    version: str
    """The version of what writes the report."""

    @property
    def record(self) -> RunRecord:
        """What the run was started with, as one of its agents has it."""
        return next(agent.record for agent in self.agents if agent.record)

    @property
    def coverage(self) -> Coverage:
        """How much of what was asked for all agents together cover."""
        first, *others = (agent.coverage for agent in self.agents if agent.record)
        return sum(others, first)

    @property
    def missing_links(self) -> int | None:
        """The links that the agents are expected to have missed; None if unknown."""
        return add_missing(agent.last for agent in self.agents if agent.last)

    @property
    def is_over(self) -> bool:
        """Whether all agents have ended."""
        return all(agent.is_over for agent in self.agents)

    @property
    def span(self) -> tuple[int, int] | None:
        """When the first step began and the last one ended; None if unknown."""
        return _join(span for agent in self.agents for span in agent.spans.values())

    @property
    def rounds(self) -> list[RoundFacts]:
        """How each round went."""
        probes, replies, agents = Counter[int](), Counter[int](), Counter[int]()
        spans: dict[int, list[tuple[int, int]]] = {}
        for agent in self.agents:
            agents.update({step.round for step in agent.outcomes})
            for step, outcome in agent.outcomes.items():
                probes[step.round] += outcome.probes
                replies[step.round] += outcome.replies
                spans.setdefault(step.round, []).append(agent.spans.get(step, (0, 0)))
        return [
            RoundFacts(
                number,
                agents[number],
                probes[number],
                replies[number],
                _join(spans[number]),
                self.new_links.get(number, 0),
            )
            for number in sorted(spans)
        ]


def gather(results: Results, target: str | None) -> Facts:
    """Gather the facts about a run; ``target`` is a prefix whose paths are drawn.

    Without a target, it is the one with the most links, if there are any.

    Raises:
        NothingYetError: If there are no replies yet.
        LookupError: If no links to the target are known.
    """
    if not any("replies" in agent.kinds for agent in results.agents):
        raise NothingYetError("there are no replies yet; let it run for a while")
    agents = [_gather_agent(agent) for agent in results.agents]
    try:
        new_links = dict(count_new_links(results))
        diamonds = _gather_diamonds(results.diamond_statistics)
        hubs = rank_interfaces(results, ROWS)
    except NothingYetError:
        new_links, diamonds, hubs = {}, None, []
    widest = diamonds.widest[:DIAMONDS] if diamonds else []
    if target is None and new_links:
        target = "largest"
    ends = []
    if "traces" in results.tables:
        ends = results.engine.read(count_ends(results.find("traces"))).to_pylist()
    routers = _gather_routers(results, has_links=diamonds is not None)
    router_diamonds = None
    if routers and diamonds:
        router_diamonds = _gather_diamonds(results.router_diamond_statistics)
    return Facts(
        agents=agents,
        new_links=new_links,
        found=results.count(),
        hubs=hubs,
        diamonds=diamonds,
        ends=ends,
        routers=routers,
        router_diamonds=router_diamonds,
        graphs=choose_graphs(results, widest, target),
        version=metadata.version("anabranch"),
    )


def _gather_agent(agent: AgentResults) -> AgentFacts:
    name = agent.keys.agent
    try:
        record = agent.record
    except FileNotFoundError:  # An agent of a cluster may not have started.
        return AgentFacts(name, None, None, {}, {})
    try:
        counts = json.loads(agent.store.get(agent.keys.target_counts))
        targets = TargetCounts(**counts)
    except FileNotFoundError:  # Version 0.2 did not count them.
        targets = None
    spans = {}
    if "replies" in agent.kinds:
        query = find_spans(agent.rows, is_traced=agent.is_traced)
        spans = {
            Step.parse(row["step"]): (row["first_us"], row["last_us"])
            for row in agent.engine.read(query).to_pylist()
            if row["first_us"]
        }
    outcomes = read_outcomes(agent.store, agent.keys)
    return AgentFacts(name, record, targets, outcomes, spans)


def _gather_diamonds(statistics: DiamondStatistics) -> DiamondFacts:
    return DiamondFacts(
        kinds=statistics.sum_up(),
        distributions=statistics.distribute(),
        sizes=statistics.pair_sizes(),
        widest=statistics.rank("max_width", ROWS),
        commonest=statistics.rank("encounters", ROWS),
    )


def _gather_routers(results: Results, *, has_links: bool) -> RouterStatistics | None:
    if "aliases" not in results.tables:
        return None
    diamonds = results.find("diamonds") if has_links else None
    aliases, routers = results.find("aliases"), results.find("routers")
    return count_routers(results.engine, aliases, routers, diamonds, ROWS)


def _join(spans: Any) -> tuple[int, int] | None:
    """Return the span from the first beginning to the last end; None if unknown."""
    known = [span for span in spans if span[0]]
    if not known:
        return None
    return min(first for first, _ in known), max(last for _, last in known)
