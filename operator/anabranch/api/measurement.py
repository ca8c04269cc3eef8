"""`Measurement`: a survey, from its first round to its last."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.annotation import AnnotationSource
from anabranch.api.connections import Connections
from anabranch.api.lists import Distinct
from anabranch.api.measurementstatus import MeasurementStatus
from anabranch.api.model import Model, Rule, Transition
from anabranch.api.resource import (
    AGE,
    Column,
    Resource,
    condition_column,
)
from anabranch.api.text import (
    AgentName,
    DnsSubdomain,
    LabelName,
    LabelValue,
    Rate,
    RunId,
    Seconds,
    Timestamp,
)
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
MAX_NAME = 48
"""The longest name in characters: names of Rounds and Jobs append round and agent."""


class LabelRequirement(Model):
    """One condition on labels (Kubernetes' ``LabelSelectorRequirement``)."""

    rules = (
        Rule(
            lambda need: (need.operator in {"In", "NotIn"}) == bool(need.values),
            "(self.operator in ['In', 'NotIn']) == "
            "(has(self.values) && self.values.size() > 0)",
            "operators In and NotIn take values, Exists and DoesNotExist none",
        ),
    )

    key: LabelName
    """The label's name."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value is compared with `values`."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """The values to compare with, for In and NotIn."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Return whether labels meet the condition; NotIn holds without the key."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None


class LabelSelector(Model):
    """Conditions on labels, all of which must hold. Without any, all agents match."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=64)] = {}
    """Labels and the values that they must have."""
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], Field(max_length=64)
    ] = ()
    """Further conditions on labels."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Return whether labels meet all conditions."""
        return self.match_labels.items() <= labels.items() and all(
            need.matches(labels) for need in self.match_expressions
        )


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


MUTABLE = (
    "suspend",
    "start_deadline_seconds",
    "active_deadline_seconds",
    "ttl_seconds_after_finished",
)
"""Fields of the spec that may change while a run is on."""


def _camel(model: type[Model], *, without: tuple[str, ...]) -> list[str]:
    fields = model.model_fields.items()
    return [str(field.alias) for name, field in fields if name not in without]


def _spec_is_kept(old: Measurement, new: Measurement) -> bool:
    started = old.status.start_time is not None and old.status.run_id == old.spec.run_id
    if not started or new.spec.run_id != old.spec.run_id:
        return True
    free: dict[str, object] = dict.fromkeys((*MUTABLE, "agents"))
    if old.spec.model_copy(update=free) != new.spec.model_copy(update=free):
        return False
    pairs = zip(old.spec.agents, new.spec.agents, strict=False)
    return len(old.spec.agents) == len(new.spec.agents) and all(
        _agent_is_kept(before, after) for before, after in pairs
    )


def _agent_is_kept(old: MeasurementAgent, new: MeasurementAgent) -> bool:
    rate = {"probing_rate": None}
    lowered = old.probing_rate is None or (
        new.probing_rate is not None and new.probing_rate <= old.probing_rate
    )
    return lowered and old.model_copy(update=rate) == new.model_copy(update=rate)


# The API server refuses rules that could cost too much by its estimate. So agents are
# compared field by field, in order, and by name only their rates; and optional values
# (`.?`) stand only where they are estimated by the size of a list.
_RATES_ARE_LOWERED = (
    "self.spec.agents.all(a, oldSelf.spec.agents.exists(o, o.name == a.name && "
    "(!has(o.probingRate) || "
    "has(a.probingRate) && a.probingRate <= o.probingRate)))"
)
_AGENTS_ARE_KEPT = " && ".join(
    f"self.spec.agents.map(a, a.?{name}) == oldSelf.spec.agents.map(a, a.?{name})"
    for name in _camel(MeasurementAgent, without=("probing_rate",))
)

_SPEC_IS_KEPT = Transition(
    _spec_is_kept,
    "!has(oldSelf.status) || !has(oldSelf.status.startTime) || "
    "!has(oldSelf.status.runId) || oldSelf.status.runId != oldSelf.spec.runId || "
    "self.spec.runId != oldSelf.spec.runId || ("
    + " && ".join(
        f"has(self.spec.{name}) == has(oldSelf.spec.{name}) && "
        f"(!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name})"
        for name in _camel(MeasurementSpec, without=(*MUTABLE, "agents", "run_id"))
    )
    + f" && {_AGENTS_ARE_KEPT} && {_RATES_ARE_LOWERED})",
    "the run has started: only suspend, deadlines, ttlSecondsAfterFinished and lower "
    "rates may change; for anything else set a new runId, which runs it again",
)


def _run_is_new(old: Measurement, new: Measurement) -> bool:
    return (
        old.status.start_time is None
        or new.spec.run_id == old.spec.run_id
        or new.spec.run_id != old.status.run_id
    )


_RUN_IS_NEW = Transition(
    _run_is_new,
    "!has(oldSelf.status) || !has(oldSelf.status.startTime) || "
    "!has(oldSelf.status.runId) || self.spec.runId == oldSelf.spec.runId || "
    "self.spec.runId != oldSelf.status.runId",
    "runId names a run that has been; choose one that was not used before",
)


class Measurement(Resource):
    """A survey: a tool, the agents that run it, and what they probe."""

    rules = (
        Rule(
            lambda measurement: len(measurement.metadata.name) <= MAX_NAME,
            f"size(self.metadata.name) <= {MAX_NAME}",
            f"a Measurement's name must have at most {MAX_NAME} characters: rounds and "
            "jobs are named after it",
        ),
    )
    transitions = (_SPEC_IS_KEPT, _RUN_IS_NEW)

    plural = "measurements"
    short_names = ("msm",)
    columns = (
        condition_column("Ready"),
        Column("Round", ".status.round", "integer"),
        Column("Agents", ".status.agentsSummary"),
        condition_column("Ready", field="reason", name="Reason"),
        AGE,
        Column("Suspended", ".spec.suspend", "boolean", wide=True),
        Column("Targets", ".status.targets.probed", "integer", wide=True),
        Column("LeftOut", ".status.targets.leftOut", "integer", wide=True),
        Column("Probes", ".status.totals.probes", "integer", wide=True),
        Column("Links", ".status.totals.links", "integer", wide=True),
    )

    spec: MeasurementSpec
    """What to measure, from where, and how long."""
    status: MeasurementStatus = MeasurementStatus()
    """The progress of the run; written by the operator."""

    @property
    def is_finished(self) -> bool:
        """Whether the run that the spec names has ended."""
        is_same = self.status.run_id == self.spec.run_id
        return is_same and self.status.completion_time is not None
