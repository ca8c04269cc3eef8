"""What a `Measurement` measures, from where, and how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.annotation import AnnotationSource
from anabranch.api.connections import Connections
from anabranch.api.lists import Distinct
from anabranch.api.model import Model, Rule
from anabranch.api.selector import LabelSelector
from anabranch.api.text import AgentName, DnsSubdomain, Rate, RunId, Seconds, Timestamp
from anabranch.api.tool import (
    ALIAS_ROUNDS,
    TOOLS,
    AliasResolution,
    DiamondMiner,
    ParameterOverrides,
    Ping,
    Tool,
    Trace,
    Yarrp,
    has_prefix_length,
)

Output = Literal[
    "warts",
    "scamperJson",
    "atlasJson",
    "ark",
    "caracalCsv",
    "yarrp",
    "itdk",
    "graphml",
    "dot",
    "report",
]
"""A format of traces, of replies, or of the links of a survey; or a page about it."""


class MeasurementAgent(Model):
    """One agent or group of agents, and what they probe (Iris's measurement agent)."""

    rules = (
        Rule(
            lambda entry: entry.division == "repeated" or entry.selector is not None,
            "self.division == 'repeated' || has(self.selector)",
            "division shared takes a selector: one agent has nobody to share with",
        ),
        Rule(
            lambda entry: entry.target_list is None or entry.connections is None,
            "!has(self.targetList) || !has(self.connections)",
            "give either targetList or connections",
        ),
        Rule(
            lambda entry: (
                entry.connections is None
                or (entry.division == "repeated" and entry.parameters is None)
            ),
            "!has(self.connections) || "
            "self.division == 'repeated' && !has(self.parameters)",
            "connections take neither division shared nor parameters",
        ),
    )

    name: AgentName
    """The agent's name; with a selector, a name for the group."""
    selector: LabelSelector | None = None
    """The labels that select the agents of the group."""
    target_list: DnsSubdomain | None = None
    """The TargetList to probe, in the measurement's namespace."""
    connections: Connections | None = None
    """The connections whose clients to trace as they end, instead of a list. The
    measurement stands then: it goes on until it is suspended or removed."""
    division: Literal["repeated", "shared"] = "repeated"
    """Whether each agent probes the whole list, or the agents share it. Agents that
    share it are a team: each target is probed by exactly one of them."""
    probing_rate: Rate | None = None
    """The highest rate of each agent, in probes a second; by default its
    maxProbingRate."""
    parameters: ParameterOverrides | None = None
    """Parameters that replace those of the tool."""

    def chooses(self, name: str, labels: dict[str, str]) -> bool:
        """Return whether the entry names an agent, or selects it by its labels."""
        if self.selector is None:
            return self.name == name
        return self.selector.matches(labels)


_REVERSE_BYTE = "ReverseByteFlowMapper"
_BYTE_LEFT = 24
"""The length of IPv4 prefixes that leave a byte."""


def _reverses_a_whole_byte(spec: RepeatableSpec) -> bool:
    tools = [tool for tool in spec.tools if tool is not None]
    overrides = [agent.parameters for agent in spec.agents if agent.parameters]
    mappers = {given.flow_mapper for given in (*tools, *overrides)}
    return _REVERSE_BYTE not in mappers or all(
        getattr(tool, "prefix_len_v4", None) == _BYTE_LEFT for tool in tools
    )


def _reverse_byte_rule() -> Rule:
    """Return the rule that ReverseByteFlowMapper takes /24s: it reverses a byte."""
    reverses = f"flowMapper == '{_REVERSE_BYTE}'"
    by_agent = (
        "self.agents.exists(a, has(a.parameters) && has(a.parameters.flowMapper) && "
        f"a.parameters.{reverses})"
    )

    def fits(name: str, tool: type[Tool]) -> str:
        return f"self.{name}.prefixLenV4 == 24 || " if has_prefix_length(tool) else ""

    return Rule(
        _reverses_a_whole_byte,
        " && ".join(
            [
                f"(!has(self.{name}) || {fits(name, tool)}"
                f"!(self.{name}.{reverses} || {by_agent}))"
                for name, tool in TOOLS.items()
            ]
        ),
        f"flowMapper {_REVERSE_BYTE} needs a tool with prefixLenV4 24",
    )


LEAST_FAILURE = 1e-9
"""The lowest failure probability of a branching point for which tracers can tell when
to stop."""


class RepeatableSpec(Model):
    """What to measure, from where, and how long, as often as it is measured."""

    rules = (
        Rule(
            lambda spec: sum(tool is not None for tool in spec.tools) == 1,
            "["
            + ", ".join(f"has(self.{tool})" for tool in TOOLS)
            + "].filter(given, given).size() == 1",
            f"give exactly one tool: {', '.join(TOOLS)}",
        ),
        _reverse_byte_rule(),
        Rule(
            lambda spec: (
                spec.trace is None
                or spec.failure_probability
                >= LEAST_FAILURE * (spec.trace.max_branching or 1)
            ),
            f"!has(self.trace) || self.failureProbability >= {LEAST_FAILURE:.9f} * "
            "double(has(self.trace.maxBranching) ? self.trace.maxBranching : 1)",
            f"trace takes a failureProbability from {LEAST_FAILURE:.9f} on, or that "
            "times maxBranching",
        ),
        Rule(
            lambda spec: (
                not any(entry.connections for entry in spec.agents)
                or (
                    all(entry.connections for entry in spec.agents)
                    and spec.trace is not None
                )
            ),
            "!self.agents.exists(a, has(a.connections)) || "
            "self.agents.all(a, has(a.connections)) && has(self.trace)",
            "connections take the tool trace, and no entry with a targetList beside",
        ),
        Rule(
            lambda spec: (
                not any(entry.connections for entry in spec.agents)
                or all(source.object for source in spec.annotate_from)
            ),
            "!self.agents.exists(a, has(a.connections)) || "
            "!has(self.annotateFrom) || self.annotateFrom.all(s, has(s.object))",
            "annotateFrom of connections takes objects: agents read no ConfigMaps",
        ),
        Rule(
            lambda spec: all(
                bool(entry.target_list or entry.connections) != bool(spec.aliases)
                for entry in spec.agents
            ),
            "self.agents.all(a, "
            "(has(a.targetList) || has(a.connections)) != has(self.aliases))",
            "give each agent a targetList or connections; with the tool aliases "
            "neither, since it probes what the other Measurement has found",
        ),
        Rule(
            lambda spec: spec.aliases is None or spec.max_rounds >= ALIAS_ROUNDS,
            f"!has(self.aliases) || self.maxRounds >= {ALIAS_ROUNDS}",
            f"aliases takes maxRounds from {ALIAS_ROUNDS} on: addresses are asked "
            "alone, compared, and tested once more",
        ),
        Rule(
            lambda spec: "ark" not in spec.outputs or spec.trace is not None,
            "!has(self.outputs) || !self.outputs.exists(o, o == 'ark') || "
            "has(self.trace)",
            "the output ark takes the tool trace",
        ),
    )

    diamond_miner: DiamondMiner | None = None
    """Multipath discovery with Diamond-Miner."""
    yarrp: Yarrp | None = None
    """Single-path discovery with Yarrp."""
    ping: Ping | None = None
    """Echo requests to each address."""
    trace: Trace | None = None
    """Traces of destinations, each probe chosen by the replies before it."""
    aliases: AliasResolution | None = None
    """Alias resolution among the interfaces that another Measurement has found."""
    agents: Annotated[
        tuple[MeasurementAgent, ...],
        Field(min_length=1, max_length=64),
        Distinct(by="name"),
    ]
    """The agents that probe, and the targets of each."""
    max_rounds: Annotated[int, Field(ge=1, le=255)] = 10
    """The most rounds of a run. It ends after them even if load balancers are not fully
    mapped."""
    failure_probability: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The highest accepted probability that a link to a destination is missed.

    Diamond-Miner's stopping rule keeps this if all load balancers at a hop have the
    same number of next hops. If one has far more than the others, the rule misses
    links more often. For trace, it is the highest accepted probability that a link of a
    branching point is missed; see maxBranching there.
    """
    annotate_from: Annotated[tuple[AnnotationSource, ...], Field(max_length=16)] = ()
    """What is known about addresses, the most trusted first: the results of a cluster
    have columns with the AS, its name, the country and the exchange point, and a table
    of links between ASes."""
    suspend: bool = False
    """Pauses the measurement while true."""
    start_deadline_seconds: Seconds | None = None
    """Fails the run if it can't start within this time."""
    active_deadline_seconds: Seconds | None = None
    """Fails the run if it takes longer. The results up to then are still delivered."""
    min_agents: Annotated[int, Field(ge=1, le=10_000)] = 1
    """The number of agents that must be ready before the run starts."""
    ttl_seconds_after_finished: Annotated[int | None, Field(ge=0, le=31_536_000)] = None
    """How long to keep the Rounds and Jobs of a finished run, in seconds. The
    Measurement itself stays."""
    outputs: Annotated[tuple[Output, ...], Field(max_length=16), Distinct()] = ()
    """The formats in which the results are stored, too, when the run ends: compressed
    with gzip, in a folder that `status.results` names. `warts`, `scamperJson` and
    `atlasJson` hold the traces of each agent, `caracalCsv` and `yarrp` its replies;
    `itdk`, `graphml` and `dot` the links that all agents found. `ark` is warts in files
    for each member of a team and day, as CAIDA's Ark names them. `report` is a page
    about the run, of HTML and not compressed, which `status.results` names itself."""

    @property
    def tools(
        self,
    ) -> tuple[
        DiamondMiner | None,
        Yarrp | None,
        Ping | None,
        Trace | None,
        AliasResolution | None,
    ]:
        """All tools; exactly one is not None."""
        return self.diamond_miner, self.yarrp, self.ping, self.trace, self.aliases

    @property
    def tool(self) -> Tool:
        """The tool that is given."""
        return next(tool for tool in self.tools if tool is not None)

    @property
    def is_standing(self) -> bool:
        """Whether it traces the clients of connections, without an end."""
        return any(entry.connections for entry in self.agents)


class MeasurementSpec(RepeatableSpec):
    """What to measure, from where, when, and how long.

    While a run is on, only suspend, the deadlines and ttlSecondsAfterFinished may
    change, and rates may be lowered. To change anything else, set a new runId.
    """

    dry_run: bool = False
    """Finds agents and targets and counts the probes, but sends none."""
    start_at: Timestamp | None = None
    """When all agents start; by default each starts as soon as it can."""
    run_id: RunId = "1"
    """The name of the run. A new name runs the measurement again."""
