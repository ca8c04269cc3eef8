"""`anabranch trace`: trace all paths to a few destinations."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api.tool import Trace as TraceTool
from anabranch.cli.annotate import add_annotate_argument, read_annotations
from anabranch.cli.command import INTERRUPTED, write
from anabranch.cli.rule import add_rule_arguments, choose_failure_probability
from anabranch.cli.score import read_count

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from typing import TypeAlias

    from anabranch_engine import Annotations, PrefixSet, Trace, Tracing

    from anabranch.cli.command import Commands

    Address: TypeAlias = IPv4Address | IPv6Address

_MOST = 255
"""TTLs, and what is counted by them, have eight bits."""
_MOST_ROUNDS = 100
"""The most rounds of alias resolution."""


def add_parser(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "trace",
        help="trace all paths to a few destinations, now",
        description="Traces the paths to destinations, with all that load balancers "
        "make of them. Exits with 1 if a destination can't be probed.",
    )
    parser.add_argument(
        "destinations",
        nargs="+",
        metavar="ADDRESS",
        help="an IPv4 or IPv6 address, or a name",
    )
    family = parser.add_mutually_exclusive_group()
    family.add_argument(
        *("-4", "--ipv4"),
        action="store_const",
        const=socket.AF_INET,
        dest="family",
        help="use IPv4 addresses of names",
    )
    family.add_argument(
        *("-6", "--ipv6"),
        action="store_const",
        const=socket.AF_INET6,
        dest="family",
        help="use IPv6 addresses of names",
    )
    _add_rule(parser)
    _add_sending(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text for people, or a line of JSON for each destination",
    )
    add_annotate_argument(parser)
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the paths; the suffix of the file selects SVG, PNG or PDF",
    )
    parser.set_defaults(run=run)


def _add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        choices=("ark",),
        help="trace as CAIDA's Ark does: a single path by ICMP, with a wait of 5 s, 3 "
        "attempts and a gap limit of 5; arguments that are given replace these",
    )
    add_rule_arguments(parser, "mdaLite")
    # What a preset may replace is None if it is not given.
    parser.set_defaults(algorithm=None)
    parser.add_argument(
        "--per-packet-test",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="tell load balancing by packet from that by flow; n_1 - 1 probes for each "
        "hop behind a load balancer",
    )
    parser.add_argument(
        "--protocol",
        choices=("udp", "icmp", "tcpSyn", "tcpAck"),
        help="what to probe by, udp by default; TCP goes to port 80",
    )
    parser.add_argument("--first-ttl", type=_read_ttl, default=1, metavar="TTL")
    parser.add_argument("--max-ttl", type=_read_ttl, default=32, metavar="TTL")
    parser.add_argument(
        "--gap-limit",
        type=_read_ttl,
        default=5,
        metavar="N",
        help="silent hops in a row that end a trace; 5",
    )
    parser.add_argument(
        "--attempts",
        type=_read_ttl,
        default=3,
        metavar="N",
        help="how often a probe without a reply is sent; 3",
    )
    parser.add_argument(
        "--wait",
        type=int,
        choices=range(1, 6),
        metavar="SECONDS",
        help="how long to wait for a reply, from 1 to 5; by default, by "
        "round-trip times",
    )
    parser.add_argument(
        "--aliases",
        nargs="?",
        type=_read_rounds,
        const=10,
        metavar="ROUNDS",
        help="look for addresses of a hop that are of one router, in so many rounds of "
        "30 probes to an address at most; 10",
    )
    parser.add_argument(
        "--max-probes",
        type=read_count,
        default=30_000,
        metavar="N",
        help="probes that end the trace of a destination; 30000",
    )


def _add_sending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate",
        type=read_count,
        default=100,
        metavar="N",
        help="probes a second, to all destinations together; 100",
    )
    parser.add_argument(
        "--window",
        type=read_count,
        default=1_000,
        metavar="N",
        help="destinations that are traced at once; 1000",
    )
    parser.add_argument(
        "--interface", metavar="LINK", help="the link to send by; by default the routes"
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        type=ip_address,
        metavar="ADDRESS",
        help="the address to send from, at most one of IPv4 and one of IPv6",
    )
    parser.add_argument(
        "--contact",
        default="",
        metavar="TEXT",
        help="how to reach you; each probe carries it, but those of TCP",
    )
    parser.add_argument(
        "--allow-reserved",
        action="store_true",
        help="probe addresses that are not globally reachable unicast, too",
    )


def run(chosen: argparse.Namespace) -> int:
    """Trace the destinations, and show each as soon as its trace has ended."""
    from anabranch_engine import PrefixSet  # noqa: PLC0415 (an extra)

    _choose_rule(chosen)
    reserved = PrefixSet() if chosen.allow_reserved else PrefixSet.reserved()
    try:
        if chosen.plot:
            _check_plot(chosen.plot)
        destinations = [_find_address(d, chosen.family) for d in chosen.destinations]
        _check_reserved(destinations, reserved)
        for source in chosen.source:
            _check_zone(source)
        known = read_annotations(chosen)
        tracing = _start(chosen, destinations, reserved)
    except ValueError as error:
        print(f"anabranch: {error}", file=sys.stderr)
        return 1
    try:
        traces = _show(chosen, tracing, known)
    except PermissionError:
        message = "trace sends raw packets: run it as root, or with CAP_NET_RAW"
        print(f"anabranch: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    if chosen.plot:
        _plot(chosen.plot, traces)
    refused = [trace for trace in traces if trace.end == "refused"]
    for trace in refused:
        print(f"anabranch: {trace.refusal}", file=sys.stderr)
    return 1 if refused else 0


def _choose_rule(chosen: argparse.Namespace) -> None:
    """Fill in what is not given: by the preset, or as usual."""
    rule = TraceTool(
        preset=chosen.preset, algorithm=chosen.algorithm, wait_seconds=chosen.wait
    )
    chosen.algorithm = rule.chosen_algorithm
    chosen.wait = rule.chosen_wait
    chosen.protocol = chosen.protocol or ("icmp" if chosen.preset else "udp")


def _find_address(text: str, family: int | None) -> Address:
    """Return the address that a text is, or that a name has.

    Raises:
        ValueError: If it is neither, with the remedy.
    """
    versions = {socket.AF_INET: 4, socket.AF_INET6: 6}
    if not text.strip():
        raise ValueError("a destination is empty; give an address, or a name")
    try:
        address = ip_address(text)
    except ValueError:
        try:
            found = socket.getaddrinfo(text, None, family or 0, socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"{text} is no address, and no name that is known: {reason}"
            raise ValueError(message) from None
        address = ip_address(found[0][4][0])
    if family and address.version != versions[socket.AddressFamily(family)]:
        message = f"{text} is no IPv{versions[socket.AddressFamily(family)]} address"
        raise ValueError(message)
    _check_zone(address)
    return address


def _check_zone(address: Address) -> None:
    """Check that an address has no zone, such as %eth0.

    Raises:
        ValueError: If it does, with the remedy.
    """
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        zone = f"%{address.scope_id}"
        message = f"{address} has a zone; leave out {zone}: --interface names the link"
        raise ValueError(message)


def _check_reserved(destinations: list[Address], reserved: PrefixSet) -> None:
    """Check that destinations may be probed.

    Raises:
        ValueError: For the first that may not, with the remedy.
    """
    for destination in destinations:
        if str(destination) in reserved:
            message = (
                f"{destination} is not globally reachable unicast; name another "
                "address, or use --allow-reserved"
            )
            raise ValueError(message)


def _start(
    chosen: argparse.Namespace, destinations: list[Address], reserved: PrefixSet
) -> Tracing:
    from anabranch_engine import Tracing  # noqa: PLC0415 (an extra)

    return Tracing(
        destinations,
        algorithm=chosen.algorithm,
        failure_probability=choose_failure_probability(chosen),
        phi=chosen.phi,
        per_packet_test=chosen.per_packet_test,
        protocol=chosen.protocol,
        first_ttl=chosen.first_ttl,
        max_ttl=chosen.max_ttl,
        gap_limit=chosen.gap_limit,
        attempts=chosen.attempts,
        max_probes=chosen.max_probes,
        wait_s=chosen.wait,
        alias_rounds=chosen.aliases,
        rate=chosen.rate,
        max_rate_per_destination=chosen.rate,
        forbidden=reserved,
        window=chosen.window,
        live=chosen.format == "text",
        interface=chosen.interface,
        sources=chosen.source,
        contact=chosen.contact,
    )


def _show(
    chosen: argparse.Namespace, tracing: Tracing, known: Annotations | None
) -> list[Trace]:
    """Show the traces as they go on and end; return them."""
    # Extras, which other commands do without.
    from anabranch_engine import Probe  # noqa: PLC0415

    from anabranch.local.tracedisplay import open_trace_display  # noqa: PLC0415
    from anabranch.local.tracejson import encode_trace  # noqa: PLC0415
    from anabranch.local.tracetext import describe_trace  # noqa: PLC0415

    rule = _describe_rule(chosen)
    traces = []
    if chosen.format == "json":
        for event in tracing:
            if not isinstance(event, Probe):
                traces.append(event)
                write(json.dumps(encode_trace(event, rule, known)) + "\n")
        return traces
    with open_trace_display(sys.stdout, known) as display:
        for event in tracing:
            if isinstance(event, Probe):
                display.hear(event)
                continue
            traces.append(event)
            if event.end != "refused":
                head = (
                    f"{event.destination} from {event.source} by {event.interface}: "
                    f"{chosen.algorithm} over {chosen.protocol}, failure probability "
                    f"of a vertex {rule['failure_probability']:.3g}\n\n"
                )
                display.end(event.destination, head + describe_trace(event, known))
    return traces


def _describe_rule(chosen: argparse.Namespace) -> dict[str, str | float | None]:
    """Return what all traces follow, as JSON has it."""
    has_meshing_test = chosen.algorithm in {"mdaLite", "mdaLocal"}
    return {
        "algorithm": chosen.algorithm,
        "protocol": chosen.protocol,
        "failure_probability": choose_failure_probability(chosen),
        "phi": chosen.phi if has_meshing_test else None,
        "per_packet_test": chosen.per_packet_test,
        "first_ttl": chosen.first_ttl,
        "max_ttl": chosen.max_ttl,
        "gap_limit": chosen.gap_limit,
        "attempts": chosen.attempts,
        "max_probes": chosen.max_probes,
        "wait_s": chosen.wait,
        "alias_rounds": chosen.aliases,
    }


def _check_plot(file: Path) -> None:
    """Check that a figure can be drawn to a file.

    Raises:
        ValueError: If its suffix is none of those that are known.
    """
    from anabranch.local.style import check_suffix  # noqa: PLC0415 (an extra)

    check_suffix(file)


def _plot(file: Path, traces: list[Trace]) -> None:
    # Extras, which other commands do without.
    from anabranch.local.pathgraph import draw_paths  # noqa: PLC0415
    from anabranch.local.style import save  # noqa: PLC0415
    from anabranch.local.tracehops import count_flows, gather_hops  # noqa: PLC0415

    edges = [
        (str(trace.destination), near, far, flows)
        for trace in traces
        for near, far, flows in count_flows(trace.links, gather_hops(trace.probes))
    ]
    names = [str(trace.destination) for trace in traces]
    save(draw_paths("paths to " + ", ".join(names), names, edges), file)
    write(f"{file}\n")


def _read_rounds(text: str) -> int:
    """Read a whole number from 0 to 100."""
    if text.isascii() and text.isdecimal() and int(text) <= _MOST_ROUNDS:
        return int(text)
    message = (
        f"{text!r} is no number of rounds from 0 to {_MOST_ROUNDS}; name destinations "
        "before --aliases"
    )
    raise argparse.ArgumentTypeError(message)


def _read_ttl(text: str) -> int:
    """Read a whole number from 1 to 255."""
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} must be from 1 to {_MOST}")
