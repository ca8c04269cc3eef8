"""What is said of a trace, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import pytest
from anabranch_engine import Annotations

from anabranch.local.tracehops import count_flows, find_paths, gather_hops
from anabranch.local.tracetext import describe_annotation, describe_trace

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import Annotation, Probe, Trace

    from anabranch.local.tracehops import Address


@dataclass(frozen=True)
class AReply:
    """A reply, as the engine has it."""

    source: Address
    rtt_us: int = 1000
    kind: int = 11
    code: int = 0
    is_end: bool = False
    rewritten: int = 0
    labels: tuple[tuple[int, int, int, int], ...] = ()
    protocol: int = 1


@dataclass(frozen=True)
class AProbe:
    """A probe, as the engine has it."""

    flow: int
    ttl: int
    reply: AReply | None


@dataclass(frozen=True)
class ATrace:
    """A trace, as the engine has it."""

    probes: list[AProbe]
    links: list[tuple[int, Address | None, Address | None]]
    end: str = "completed"
    began_us: int = 0
    ended_us: int = 1_500_000
    switch: tuple[int, str] | None = None
    unsteady: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    aliases: list[APair] | None = None
    routers: list[list[Address]] = field(default_factory=list)
    alias_probes: int = 0


@dataclass
class APair:
    """What is said of two addresses, as the engine has it."""

    ttl: int
    first: Address
    second: Address
    verdict: str


def hop(number: int) -> Address:
    """The address of an interface."""
    return ip_address("240.0.0.0") + number


def draw_diamond() -> ATrace:
    """One router, three with a star among them, the destination: four flows."""
    second = {0: 2, 1: 3, 2: 2}
    probes = [AProbe(flow, 1, AReply(hop(1), 500)) for flow in range(4)]
    probes += [
        AProbe(flow, 2, AReply(hop(number), rewritten=1) if number else None)
        for flow, number in ((flow, second.get(flow)) for flow in range(4))
    ]
    probes += [
        AProbe(flow, 3, AReply(hop(9), 3000 + flow, 3, 3, is_end=True))
        for flow in range(4)
    ]
    links: list[tuple[int, Address | None, Address | None]] = [(0, None, hop(1))]
    links += [(1, hop(1), far) for far in (hop(2), hop(3), None)]
    links += [(2, near, hop(9)) for near in (hop(2), hop(3), None)]
    return ATrace(probes, links)


def as_probes(trace: ATrace) -> list[Probe]:
    """The probes, for functions that take the engine's."""
    return cast("list[Probe]", trace.probes)


def test_it_shows_hops_stars_loss_and_paths() -> None:
    """A line for an interface, and below a line for each path that is known."""
    said = describe_trace(cast("Trace", draw_diamond()))
    assert said == (
        "ttl      address    flows   loss       rtt: least  mean  most\n"
        "  1  │   240.0.0.1      4     0%        0.50  0.50  0.50\n"
        "  2  ┬ a 240.0.0.2      2    25%        1.00  1.00  1.00  NAT: source\n"
        "     ├ b 240.0.0.3      1               1.00  1.00  1.00\n"
        "     └ c *              1\n"
        "  3  │   240.0.0.9      4     0%        3.00  3.00  3.00\n"
        "\n"
        "completed: 4 interfaces and 4 links, 12 probes and 11 replies in 1.5 s\n"
        "\n"
        "flows   loss       rtt: least  mean  most  path through the wide hops\n"
        "    2     0%        3.00  3.00  3.00  a\n"
        "    1     0%        3.00  3.00  3.00  b\n"
        "    1    33%        3.00  3.00  3.00  ·\n"
    )


def test_routers_are_told_by_the_letters_of_their_interfaces() -> None:
    """With the numbers of pairs, of which some may not be decided."""
    trace = replace(
        draw_diamond(),
        aliases=[APair(2, hop(2), hop(3), "accept")],
        routers=[[hop(2), hop(3)]],
        alias_probes=7,
    )
    said = describe_trace(cast("Trace", trace))
    assert (
        "pairs of a hop: 1 of one router, 0 of two, 0 undetermined, by 7 more "
        "probes\none router at TTL 2: a = b\n"
    ) in said


def test_an_interface_has_the_letters_of_the_next_ones() -> None:
    """Where both hops are wide, since otherwise all follow."""
    pairs = {0: (2, 4), 1: (3, 5)}
    probes = [
        AProbe(flow, ttl, AReply(hop(pairs[flow][ttl - 1])))
        for flow in pairs
        for ttl in (1, 2)
    ]
    links = [(1, hop(near), hop(far)) for near, far in pairs.values()]
    trace = ATrace(probes, [*links], end="gap limit")
    lines = describe_trace(cast("Trace", trace)).splitlines()
    assert [line.partition("->")[2] for line in lines[1:5]] == [" a", " b", "", ""]


def test_unreachables_and_labels_are_noted() -> None:
    """As traceroute marks them."""
    prohibited = AReply(hop(3), kind=3, code=13, is_end=True)
    labelled = AReply(hop(2), labels=((16, 0, 0, 1), (17, 0, 1, 1)))
    probes = [AProbe(0, 1, labelled), AProbe(0, 2, prohibited)]
    trace = ATrace(probes, [(0, None, hop(2)), (1, hop(2), hop(3))])
    lines = describe_trace(cast("Trace", trace)).splitlines()
    assert lines[1].endswith("MPLS 16/17")
    assert lines[2].endswith("!X")


@dataclass(frozen=True)
class AnAnnotation:
    """What is known about an address, as the engine has it."""

    asn: int | None = None
    origins: str | None = None
    as_name: str | None = None
    country: str | None = None
    ixp: str | None = None


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (AnAnnotation(), ""),
        (AnAnnotation(64500), "AS64500"),
        (AnAnnotation(64500, None, "A", "DE", "X"), "AS64500 A, DE, at X"),
        (AnAnnotation(7, "7_5"), "AS7 of 7_5"),
        (AnAnnotation(None, "5,7"), "AS set 5,7"),
        (AnAnnotation(ixp="X"), "at X"),
    ],
)
def test_what_is_known_about_an_address_is_a_few_words(
    known: AnAnnotation, said: str
) -> None:
    """All origins, where there are several."""
    assert describe_annotation(cast("Annotation", known)) == said


def test_an_interface_has_what_is_known_about_it(tmp_path: Path) -> None:
    """Before what else is to be noted; a star has nothing."""
    file = tmp_path / "table"
    file.write_text("240.0.0.2\t32\t64500\n")
    lines = describe_trace(
        cast("Trace", draw_diamond()), Annotations([file])
    ).splitlines()
    assert [line.partition("1.00  1.00  1.00")[2] for line in lines[2:4]] == [
        "  AS64500  NAT: source",
        "",
    ]
    assert lines[4].split() == ["└", "c", "*", "1"]


def test_open_and_closed_ports_are_noted() -> None:
    """A reset to an ACK says nothing of its port."""
    answers = {0: 2 | 16, 1: 4 | 8 | 16, 2: 4}
    probes = [
        AProbe(flow, 1, AReply(hop(1 + flow), protocol=6, kind=flags, is_end=True))
        for flow, flags in answers.items()
    ]
    trace = ATrace(probes, [])
    lines = describe_trace(cast("Trace", trace)).splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == ["open", "closed", "1.00"]


def test_what_is_odd_is_said_at_the_end() -> None:
    """The switch to the MDA, flows that met several routers, and routers that went."""
    odd: dict[str, Any] = {"switch": (4, "meshed"), "unsteady": [7, 8], "gone": [9]}
    trace = ATrace([], [], end="loop", **odd)
    said = describe_trace(cast("Trace", trace))
    assert "loop: 0 interfaces and 0 links" in said
    assert "MDA-Lite went over to the MDA at TTL 4: meshed" in said
    assert "a flow met several routers at TTL 7, 8" in said
    assert "no flow meets a router of TTL 9 any more" in said


def test_flows_of_a_link_are_those_at_both_ends() -> None:
    """All flows pass the only interface of a hop."""
    trace = draw_diamond()
    counted = count_flows(trace.links, gather_hops(as_probes(trace)))
    names = {(near[1], far[1]): flows for near, far, flows in counted}
    assert names == {
        ("240.0.0.1", "240.0.0.2"): 2,
        ("240.0.0.1", "240.0.0.3"): 1,
        ("240.0.0.2", "240.0.0.9"): 2,
        ("240.0.0.3", "240.0.0.9"): 1,
    }


def test_flows_that_end_nowhere_have_no_path() -> None:
    """Nobody knows where they go."""
    trace = draw_diamond()
    probes = [p for p in as_probes(trace) if (p.flow, p.ttl) != (0, 3)]
    flows = [path.flows for path in find_paths(probes, gather_hops(probes))]
    assert sorted(flows) == [(1,), (2,), (3,)]
