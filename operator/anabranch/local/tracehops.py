"""The hops of a trace, and the paths of its flows: pure functions of its probes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address
    from typing import TypeAlias

    from anabranch_engine import Probe, Reply

    Address: TypeAlias = IPv4Address | IPv6Address


TCP = 6
"""The protocol's number in IP headers."""


@dataclass(frozen=True)
class Times:
    """Round-trip times, in milliseconds."""

    least: float
    mean: float
    most: float


@dataclass(frozen=True)
class Vertex:
    """An interface at a hop, or a star."""

    address: Address | None
    """The address; None for a star."""
    flows: frozenset[int]
    """The flows that met it."""
    times: Times | None
    """None for a star."""
    replies: tuple[Reply, ...]
    """The replies from it, by flow."""


@dataclass(frozen=True)
class Hop:
    """What was seen at a TTL."""

    ttl: int
    vertices: tuple[Vertex, ...]
    """The interfaces by address, and then the star, if flows met nobody."""
    sent: int
    """The probes sent."""
    answered: int
    """Those of them that were answered."""


@dataclass(frozen=True)
class Path:
    """What the flows that take one path have in common."""

    through: tuple[Address | None, ...]
    """What they met at each wide hop before the end; None where it is not known."""
    flows: tuple[int, ...]
    sent: int
    """The probes of these flows."""
    answered: int
    """Those of them that were answered."""
    times: Times
    """Round-trip times to the end."""


def gather_hops(probes: Iterable[Probe]) -> list[Hop]:
    """Return the hops that were probed, from the lowest TTL on."""
    by_ttl: dict[int, list[Probe]] = defaultdict(list)
    for probe in probes:
        by_ttl[probe.ttl].append(probe)
    return [_gather_hop(ttl, by_ttl[ttl]) for ttl in sorted(by_ttl)]


def find_paths(probes: Sequence[Probe], hops: Sequence[Hop]) -> list[Path]:
    """Return the paths that flows take to the end, those of most flows first.

    Paths differ in what flows meet at the hops with several interfaces. Flows that
    did not reach the end are left out, since nobody knows where they go.
    """
    ends = {
        probe.flow: reply.rtt_us
        for probe in reversed(probes)
        if (reply := probe.reply) and reply.is_end
    }
    wide = [
        hop
        for hop in hops
        if sum(vertex.address is not None for vertex in hop.vertices) > 1
        and not all(reply.is_end for v in hop.vertices for reply in v.replies)
    ]
    taken: dict[tuple[Address | None, ...], list[int]] = defaultdict(list)
    for flow in sorted(ends):
        taken[tuple(_find_address(hop, flow) for hop in wide)].append(flow)
    paths = []
    for through, flows in taken.items():
        own = [probe for probe in probes if probe.flow in flows]
        paths.append(
            Path(
                through=through,
                flows=tuple(flows),
                sent=len(own),
                answered=sum(probe.reply is not None for probe in own),
                times=_summarise([ends[flow] for flow in flows]),
            )
        )
    return sorted(paths, key=lambda path: -len(path.flows))


def count_flows(
    links: Iterable[tuple[int, Address | None, Address | None]], hops: Iterable[Hop]
) -> list[tuple[tuple[int, str], tuple[int, str], int]]:
    """Return the links between interfaces, and how many flows were seen on each.

    A link is the TTL and address of its near end, those of its far end, and the flows.
    All flows pass the only interface of a hop, whether they were probed there or not.
    """
    flows = {
        (hop.ttl, vertex.address): (vertex.flows, len(hop.vertices) == 1)
        for hop in hops
        for vertex in hop.vertices
    }
    counted = []
    for ttl, near, far in links:
        if near is None or far is None:
            continue
        (before, is_only), (behind, _) = flows[ttl, near], flows[ttl + 1, far]
        both = behind if is_only else before & behind
        counted.append(((ttl, str(near)), (ttl + 1, str(far)), len(both)))
    return counted


def _gather_hop(ttl: int, probes: list[Probe]) -> Hop:
    met: dict[Address, dict[int, Reply]] = defaultdict(dict)
    for probe in probes:
        if probe.reply:
            met[probe.reply.source][probe.flow] = probe.reply
    answered = {flow for flows in met.values() for flow in flows}
    silent = frozenset(probe.flow for probe in probes) - answered
    vertices = [
        Vertex(
            address=address,
            flows=frozenset(replies),
            times=_summarise([reply.rtt_us for reply in replies.values()]),
            replies=tuple(replies[flow] for flow in sorted(replies)),
        )
        for address, replies in sorted(met.items(), key=lambda item: int(item[0]))
    ]
    if silent:
        vertices.append(Vertex(None, silent, None, ()))
    return Hop(
        ttl=ttl,
        vertices=tuple(vertices),
        sent=len(probes),
        answered=sum(probe.reply is not None for probe in probes),
    )


def _find_address(hop: Hop, flow: int) -> Address | None:
    return next((v.address for v in hop.vertices if flow in v.flows), None)


def _summarise(rtts_us: list[int]) -> Times:
    return Times(min(rtts_us) / 1e3, fmean(rtts_us) / 1e3, max(rtts_us) / 1e3)
