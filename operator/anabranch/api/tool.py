"""The tools of a measurement, with the parameters that Iris gives them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.model import Model, Rule
from anabranch.api.text import DnsSubdomain, Port

FlowMapperName = Literal[
    "SequentialFlowMapper",
    "IntervalFlowMapper",
    "ReverseByteFlowMapper",
    "RandomFlowMapper",
]


class FlowMapperKwargs(Model):
    """Parameters of a flow mapper. Each mapper takes only its own."""

    seed: Annotated[int | None, Field(ge=0, le=(1 << 31) - 1)] = None
    """RandomFlowMapper: the seed of its permutations; by default 42."""
    step: Annotated[int | None, Field(ge=1, le=255)] = None
    """IntervalFlowMapper: the distance between the addresses of two flows; by default
    32."""


def _kwargs_fit(parameters: FlowParameters | ParameterOverrides) -> bool:
    kwargs = parameters.flow_mapper_kwargs or FlowMapperKwargs()
    mapper = parameters.flow_mapper
    return (kwargs.seed is None or mapper == "RandomFlowMapper") and (
        kwargs.step is None or mapper == "IntervalFlowMapper"
    )


_KWARGS_FIT = Rule(
    _kwargs_fit,
    "!has(self.flowMapperKwargs) || ("
    "(!has(self.flowMapperKwargs.seed) || "
    "has(self.flowMapper) && self.flowMapper == 'RandomFlowMapper') && "
    "(!has(self.flowMapperKwargs.step) || "
    "has(self.flowMapper) && self.flowMapper == 'IntervalFlowMapper'))",
    "flowMapperKwargs: seed goes with flowMapper RandomFlowMapper, step with "
    "IntervalFlowMapper",
)


class FlowParameters(Model):
    """How flow numbers map to addresses and ports."""

    rules = (_KWARGS_FIT,)

    initial_source_port: Port = 24000
    """The source port of a prefix's first flows."""
    destination_port: Port = 33434
    """The destination port of UDP flows."""
    flow_mapper: FlowMapperName = "RandomFlowMapper"
    """How flows map to the addresses of a prefix. For IPv6, ReverseByteFlowMapper acts
    as SequentialFlowMapper."""
    flow_mapper_kwargs: FlowMapperKwargs | None = None
    """Parameters of the flow mapper."""


class ParameterOverrides(Model):
    """Parameters that replace the tool's for one agent."""

    rules = (_KWARGS_FIT,)

    initial_source_port: Port | None = None
    """The source port of a prefix's first flows."""
    destination_port: Port | None = None
    """The destination port of UDP flows."""
    flow_mapper: FlowMapperName | None = None
    """How flows map to the addresses of a prefix. Its parameters are in
    flowMapperKwargs."""
    flow_mapper_kwargs: FlowMapperKwargs | None = None
    """Parameters of this flow mapper."""


DiamondMinerRule = Literal["lite", "full", "shared"]


class DiamondMiner(FlowParameters):
    """Multipath discovery (Vermeulen et al., NSDI 2020).

    Rounds continue until every load balancer is mapped with the measurement's failure
    probability.
    """

    rule: DiamondMinerRule = "lite"
    """Which probes a round asks for.

    ``lite`` counts the links of each hop, as diamond-miner does. ``full`` counts those
    of each interface, and so keeps failureProbability on any path. ``shared`` counts
    those of each interface for all prefixes behind it together: it finds as many links
    with a quarter of the probes, and sends one flow at first whatever the list asks."""
    prefix_len_v4: Annotated[int, Field(ge=8, le=32)] = 24
    """The length of IPv4 targets."""
    prefix_len_v6: Annotated[int, Field(ge=16, le=128)] = 64
    """The length of IPv6 targets."""


class Yarrp(FlowParameters):
    """Single-path discovery in random order (Beverly, IMC 2016)."""

    fill_ttl: Annotated[int | None, Field(ge=1, le=255)] = None
    """The TTL up to which paths are followed beyond their target's last TTL.

    As long as a probe expires there or beyond, and not in the target itself, the next
    TTL is probed at once. By default, none is.
    """
    prefix_len_v4: Literal[24, 32] = 24
    """The length of IPv4 targets."""
    prefix_len_v6: Literal[64, 128] = 64
    """The length of IPv6 targets."""


class Ping(FlowParameters):
    """Echo requests to each address. Its target lists must name ICMP alone."""

    repetitions: Annotated[int | None, Field(ge=1, le=1000)] = None
    """How often each address is probed, each time with another identifier; by default
    as often as its target has nInitialFlows."""


class Aliases(Model):
    """Alias resolution: which addresses of a hop are interfaces of one router.

    It compares IP identifications, initial TTLs, MPLS labels (Vermeulen et al., IMC
    2018) and the sources of port unreachables.
    """

    rounds: Annotated[int, Field(ge=0, le=100)] = 10
    """The most rounds of 30 probes to an address.

    An address is probed only as long as a pair of it is undecided. With 0, nothing is
    sent: the replies of the traces themselves are compared."""


ARK_WAIT_SECONDS = 5
"""How long scamper waits for a reply in the traces of CAIDA's Ark."""


class RandomDestination(Model):
    """A random address of each target.

    In IPv4 it is neither the target's first address nor its last one, and it is not
    excluded, if the target has an address that is not.
    """

    seed: Annotated[int | None, Field(ge=0, lt=1 << 53)] = None
    """The seed that draws the addresses: the same one draws the same. By default, it
    comes from the Measurement's UID and its runId, so each run has others."""


Algorithm = Literal["mdaLite", "mda", "mdaLocal", "singlePath"]


class Trace(FlowParameters):
    """Traces that look at each reply before they decide what to probe next.

    Each target is one destination: the address of its first flow, or a random one. Its
    paths are traced by the MDA or by MDA-Lite (Vermeulen et al., IMC 2018), or one of
    them by Paris traceroute. Flows are source ports from initialSourcePort on, or ICMP
    checksums.
    """

    preset: Literal["ark"] | None = None
    """Values for what is not given.

    ark stands for the traces of CAIDA's Ark, as scamper sends them: algorithm
    singlePath, waitSeconds 5, gapLimit 5 and attempts 3, by ICMP alone.
    """
    algorithm: Algorithm | None = None
    """How flows and TTLs are chosen; by default that of the preset, or mdaLite.

    mdaLite goes over to the mda where its assumptions do not hold; mdaLocal does so
    only there. singlePath probes one flow.
    """
    phi: Annotated[int, Field(ge=2, le=64)] = 2
    """The flows of each vertex in the meshing test of mdaLite and mdaLocal."""
    max_branching: Annotated[int | None, Field(ge=1, le=1 << 16)] = None
    """Shares the measurement's failureProbability among this many branching points. By
    default, it is that of each."""
    per_packet_test: bool = True
    """Whether load balancing by packet is told from that by flow, which takes a few
    probes more."""
    gap_limit: Annotated[int, Field(ge=1, le=255)] = 5
    """The number of silent hops in a row that end a trace."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often a probe is sent that gets no reply."""
    max_probes: Annotated[int, Field(ge=1, le=1_000_000)] = 30_000
    """The most probes of a trace."""
    wait_seconds: Annotated[int | None, Field(ge=1, le=5)] = None
    """How long a reply is waited for. By default it is that of the preset, or goes by
    the round-trip times to the destination."""
    random_destination: RandomDestination | None = None
    """Traces a random address of each target, if given."""
    aliases: Aliases | None = None
    """Looks for aliases among the addresses of each hop, if given."""
    prefix_len_v4: Annotated[int, Field(ge=8, le=32)] = 32
    """The length of IPv4 targets. One address of each is traced."""
    prefix_len_v6: Annotated[int, Field(ge=16, le=128)] = 128
    """The length of IPv6 targets. One address of each is traced."""

    @property
    def chosen_algorithm(self) -> Algorithm:
        """The algorithm, of the preset where none is given."""
        return self.algorithm or ("singlePath" if self.preset else "mdaLite")

    @property
    def chosen_wait(self) -> int | None:
        """The seconds that a reply is waited for; None to go by round-trip times."""
        return self.wait_seconds or (ARK_WAIT_SECONDS if self.preset else None)


ALIAS_ROUNDS = 3
"""The rounds of a run of the tool aliases."""


class AliasResolution(FlowParameters):
    """Alias resolution among all interfaces that a Measurement has found.

    As in MIDAR (Keys et al., 2013), each address is first asked alone how fast its
    counter of IP identifications is; then those of like speed are probed in turn and
    compared; then what seems to be a router is tested once more. Probes are echo
    requests, and UDP to a port for the source of the answer.
    """

    of: DnsSubdomain
    """The Measurement whose interfaces are compared, in the same namespace. It must be
    complete, and of another tool."""
    rounds: Annotated[int, Field(ge=1, le=100)] = 10
    """The most rounds of 30 probes to an address, each time that it is compared."""


Tool = DiamondMiner | Yarrp | Ping | Trace | AliasResolution

TOOLS: dict[str, type[Tool]] = {
    "diamondMiner": DiamondMiner,
    "yarrp": Yarrp,
    "ping": Ping,
    "trace": Trace,
    "aliases": AliasResolution,
}
"""The tools, by the field of a measurement that gives each."""


def has_prefix_length(tool: type[Tool]) -> bool:
    """Return whether the length of a tool's targets can be chosen."""
    return "prefix_len_v4" in tool.model_fields
