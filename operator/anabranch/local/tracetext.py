"""A trace as text for people: hops, links, paths. Pure functions."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from anabranch.local.tracehops import TCP, find_paths, gather_hops

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anabranch_engine import Annotation, Annotations, Reply, Trace

    from anabranch.local.tracehops import Address, Hop, Times, Vertex

_MOST_PATHS = 16
"""More paths than this are counted, not shown."""
_ECHO_REPLIES = {(0, 4), (129, 6)}
"""The ICMP type of an echo reply, and the IP version."""
_PORT_UNREACHABLE = {(3, 3, 4), (1, 4, 6)}
"""The ICMP type and code with which a host answers UDP, and the IP version."""
_UNREACHABLE = {
    4: {0: "!N", 1: "!H", 2: "!P", 4: "!F", 5: "!S", 9: "!X", 10: "!X", 13: "!X"},
    6: {0: "!N", 1: "!X", 2: "!S", 3: "!H", 5: "!X", 6: "!X"},
}
"""traceroute's marks of unreachables by IP version and ICMP code: network, host,
protocol, fragmentation, source route, prohibited."""
_PORTS = {2 | 16: "open", 4 | 16: "closed"}
"""What a SYN finds, by the flags of the answer: SYN-ACK, or a reset with ACK."""
_ANSWER = 2 | 4 | 16
"""The flags that tell answers apart: SYN, RST and ACK."""
_REWRITTEN = {1: "source", 2: "ports", 4: "checksum", 8: "identification"}
"""What a translator may have rewritten, by the bit that tells it."""


def describe_trace(trace: Trace, known: Annotations | None = None) -> str:
    """Describe a trace that has ended: its hops, how it ended, and its paths.

    ``known`` says what is known about addresses.
    """
    hops = gather_hops(trace.probes)
    names = _name_vertices(hops)
    lines = draw_hops(hops, _find_next(trace, names), known)
    lines += ["", _sum_up(trace, hops)]
    lines += _describe_routers(trace, names)
    lines += _describe_paths(trace, hops, names)
    return "\n".join(lines) + "\n"


def draw_hops(
    hops: Sequence[Hop],
    next_names: dict[tuple[int, str], str],
    known: Annotations | None = None,
) -> list[str]:
    """Draw the hops, a line for each interface.

    Interfaces of a wide hop have letters; behind each interface are the letters of the
    next ones, if these are not all that the next hop has. ``known`` says what is known
    about addresses.
    """
    names = _name_vertices(hops)
    addresses = [str(v.address or "*") for hop in hops for v in hop.vertices]
    width = max(map(len, addresses), default=1)
    head = f"ttl      {'address':<{width}}  flows   loss       rtt: least  mean  most"
    lines = [head]
    was_rewritten = 0
    for hop in hops:
        for place, vertex in enumerate(hop.vertices):
            name = names[hop.ttl, vertex.address]
            address = str(vertex.address or "*")
            to = next_names.get((hop.ttl, address), "")
            rewritten = _find_rewritten(vertex) & ~was_rewritten
            was_rewritten |= rewritten
            ttl = f"{hop.ttl:>3}" if place == 0 else "   "
            notes = [f"-> {to}" if to else "", *_describe_notes(vertex, rewritten)]
            if known and vertex.address:
                notes.insert(0, describe_annotation(known.find(vertex.address)))
            line = (
                f"{ttl}  {_branch(place, len(hop.vertices))} {name:<2}"
                f"{address:<{width}}  {len(vertex.flows):>5}  "
                f"{_describe_loss(hop) if place == 0 else '':>5}  "
                f"{_describe_times(vertex.times):>22}  {'  '.join(filter(None, notes))}"
            )
            lines.append(line.rstrip())
    return lines


def _branch(place: int, count: int) -> str:
    if count == 1:
        return "│"
    return "┬" if place == 0 else "└" if place == count - 1 else "├"


def _name_vertices(hops: Iterable[Hop]) -> dict[tuple[int, Address | None], str]:
    """Return the letters of the interfaces of wide hops, and nothing for others."""
    names = {}
    for hop in hops:
        is_wide = len(hop.vertices) > 1
        for place, vertex in enumerate(hop.vertices):
            names[hop.ttl, vertex.address] = _letter(place) if is_wide else ""
    return names


def _letter(place: int) -> str:
    """Return a, b, … z, aa, ab, … as columns of spreadsheets are named."""
    more, last = divmod(place, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)


def _find_next(
    trace: Trace, names: dict[tuple[int, Address | None], str]
) -> dict[tuple[int, str], str]:
    """Return the letters of what follows each interface that not all of it follows."""
    following: dict[tuple[int, Address | None], list[str]] = {}
    for near_ttl, near, far in trace.links:
        name = names.get((near_ttl + 1, far), "")
        following.setdefault((near_ttl, near), []).append(name)
    wide: dict[int, int] = {}
    for ttl, _ in names:
        wide[ttl] = wide.get(ttl, 0) + 1
    return {
        (ttl, str(near or "*")): " ".join(sorted(found, key=lambda n: (len(n), n)))
        for (ttl, near), found in following.items()
        if wide.get(ttl + 1, 1) > 1 and wide.get(ttl, 1) > 1
    }


def _find_rewritten(vertex: Vertex) -> int:
    bits = 0
    for reply in vertex.replies:
        bits |= reply.rewritten
    return bits


def _describe_notes(vertex: Vertex, rewritten: int) -> list[str]:
    """Describe what is remarkable: unreachables, label stacks, address translation."""
    marks = sorted({mark for each in vertex.replies if (mark := describe_reply(each))})
    stacks = sorted({tuple(reply.labels) for reply in vertex.replies if reply.labels})
    labels = [f"MPLS {'/'.join(str(label) for label, *_ in stack)}" for stack in stacks]
    fields = [name for bit, name in _REWRITTEN.items() if rewritten & bit]
    return [*marks, *labels, *([f"NAT: {', '.join(fields)}"] if fields else [])]


def describe_annotation(found: Annotation) -> str:
    """Describe what is known about an address: AS, country and exchange point.

    Of an AS that is not the only origin, all origins are told.
    """
    origin = "" if found.asn is None else f"AS{found.asn}"
    if found.origins:
        origin += f" of {found.origins}" if origin else f"AS set {found.origins}"
    words = [
        f"{origin} {found.as_name or ''}".strip(),
        found.country or "",
        f"at {found.ixp}" if found.ixp else "",
    ]
    return ", ".join(filter(None, words))


def describe_reply(reply: Reply) -> str:
    """Return the mark of a reply that says more than that here is a hop, or the end."""
    version = reply.source.version
    if reply.protocol == TCP:
        return _PORTS.get(reply.kind & _ANSWER, "")
    if not reply.is_end or (reply.kind, version) in _ECHO_REPLIES:
        return ""
    if (reply.kind, reply.code, version) in _PORT_UNREACHABLE:
        return ""
    return _UNREACHABLE[version].get(reply.code, f"!{reply.kind}.{reply.code}")


def _describe_loss(hop: Hop) -> str:
    return f"{1 - hop.answered / hop.sent:.0%}"


def _describe_times(times: Times | None) -> str:
    if times is None:
        return ""
    return f"{times.least:.2f}  {times.mean:.2f}  {times.most:.2f}"


def _sum_up(trace: Trace, hops: list[Hop]) -> str:
    answered = sum(hop.answered for hop in hops)
    interfaces = {v.address for hop in hops for v in hop.vertices if v.address}
    links = {link[1:] for link in trace.links if None not in link[1:]}
    seconds = (trace.ended_us - trace.began_us) / 1e6
    says = (
        f"{trace.end}: {len(interfaces)} interfaces and {len(links)} links, "
        f"{len(trace.probes)} probes and {answered} replies in {seconds:.1f} s"
    )
    if trace.switch:
        ttl, reason = trace.switch
        says += f"\nMDA-Lite went over to the MDA at TTL {ttl}: {reason}"
    if trace.unsteady:
        ttls = ", ".join(map(str, trace.unsteady))
        says += (
            f"\na flow met several routers at TTL {ttls}: load balancing by packet, or "
            "a change of route"
        )
    if trace.gone:
        ttls = ", ".join(map(str, trace.gone))
        says += (
            f"\nno flow meets a router of TTL {ttls} any more: it has stopped "
            "answering, or the route has changed"
        )
    return says


def _describe_routers(
    trace: Trace, names: dict[tuple[int, Address | None], str]
) -> list[str]:
    """Describe which interfaces of a hop are of one router, by their letters."""
    if trace.aliases is None:
        return []
    verdicts = Counter(pair.verdict for pair in trace.aliases)
    counts = ", ".join(
        f"{verdicts[verdict]} {word}"
        for verdict, word in (
            ("accept", "of one router"),
            ("reject", "of two"),
            ("undetermined", "undetermined"),
        )
    )
    lines = ["", f"pairs of a hop: {counts}, by {trace.alias_probes} more probes"]
    for router in trace.routers:
        ttl = next(
            pair.ttl
            for pair in trace.aliases
            if pair.first in router and pair.second in router
        )
        letters = " = ".join(sorted(names[ttl, address] for address in router))
        lines.append(f"one router at TTL {ttl}: {letters}")
    return lines


def _describe_paths(
    trace: Trace, hops: list[Hop], names: dict[tuple[int, Address | None], str]
) -> list[str]:
    paths = find_paths(trace.probes, hops)
    # One path is what the hops show; if packets of a flow differ, none is known.
    if len(paths) < 2 or trace.unsteady:  # noqa: PLR2004
        return []
    by_address = {address: name for (_, address), name in names.items() if address}
    rows = []
    for path in paths[:_MOST_PATHS]:
        through = [by_address.get(a, "·") if a else "·" for a in path.through]
        loss = f"{1 - path.answered / path.sent:.0%}"
        rows.append(
            f"{len(path.flows):>5}  {loss:>5}  {_describe_times(path.times):>22}  "
            f"{' '.join(through)}"
        )
    more = len(paths) - _MOST_PATHS
    tail = [f"and {more} more"] if more > 0 else []
    head = "flows   loss       rtt: least  mean  most  path through the wide hops"
    return list(chain(["", head], rows, tail))
