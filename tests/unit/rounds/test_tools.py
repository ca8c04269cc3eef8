"""What each tool answers to what every tool is asked."""

from __future__ import annotations

import pyarrow as pa
import pytest

from anabranch.api.tool import (
    TOOLS,
    AliasResolution,
    DiamondMiner,
    Ping,
    RandomDestination,
    Tool,
    Trace,
    Yarrp,
)
from anabranch.rounds.steps import FIRST, Step
from anabranch.rounds.tools import SplitLengths, Unit, face_of

PREFIXES = pa.table(
    {"prefix_index": [0], "min_ttl": [1], "max_ttl": [32], "flow_count": [6]}
)


@pytest.mark.parametrize(
    ("tool", "lengths"),
    [
        (DiamondMiner(), SplitLengths(24, 64)),
        (DiamondMiner(prefix_len_v4=20, prefix_len_v6=48), SplitLengths(20, 48)),
        (Yarrp(prefix_len_v4=32), SplitLengths(32, 64)),
        (Ping(), SplitLengths(32, 128)),
        (Trace(), SplitLengths(32, 128)),
        (Trace(prefix_len_v4=24), SplitLengths(24, 128)),
    ],
)
def test_a_tool_splits_as_iris_does(tool: Tool, lengths: SplitLengths) -> None:
    """Diamond-Miner and Yarrp to their own lengths, ping and trace to addresses."""
    assert face_of(tool).split == lengths


OF_PATHS = AliasResolution(of="paths")


def make(kind: type[Tool]) -> Tool:
    """A tool with its usual parameters."""
    return kind.model_validate({"of": "paths"} if kind is AliasResolution else {})


@pytest.mark.parametrize(
    ("tool", "bounds", "first", "most"),
    [
        (DiamondMiner(), (3, 255), (0, 3, 10, 0, 6), (0, 3, 32, 0, 6)),
        (DiamondMiner(rule="shared"), (3, 255), (0, 3, 32, 0, 1), (0, 3, 32, 0, 1)),
        (Yarrp(), (3, 30), (0, 3, 30, 0, 6), (0, 3, 30, 0, 6)),
        (Ping(), (3, 30), (0, 30, 30, 0, 6), (0, 30, 30, 0, 6)),
        (Trace(), (3, 30), (0, 3, 30, 0, 1), (0, 3, 30, 0, 1)),
        (OF_PATHS, (3, 30), (0, 3, 30, 0, 1), (0, 3, 30, 0, 1)),
    ],
)
def test_each_tool_begins_in_its_own_way(
    tool: Tool, bounds: tuple[int, int], first: tuple[int, ...], most: tuple[int, ...]
) -> None:
    """Within the agent's bounds."""
    asked = face_of(tool).ask_first(PREFIXES, bounds).to_pylist()
    assert [tuple(row.values()) for row in asked] == [first]
    asked = face_of(tool).ask_most(PREFIXES, bounds).to_pylist()
    assert [tuple(row.values()) for row in asked] == [most]


@pytest.mark.parametrize("kind", TOOLS.values())
def test_a_tool_that_does_not_go_on_has_one_step(kind: type[Tool]) -> None:
    """However many rounds it may have."""
    face = face_of(make(kind))
    assert bool(face.next_steps(FIRST, 10)) == face.goes_on
    assert face.next_steps(Step(10), 10) == []


def test_shared_goes_on_where_all_prefixes_are_pilots() -> None:
    """A list of one target has nothing to sweep."""
    face = face_of(DiamondMiner(rule="shared"))
    assert face.next_steps(FIRST, 10) == [Step(2), Step(3)]
    assert face.next_steps(FIRST, 2) == [Step(2)]
    assert face.next_steps(Step(2), 10) == [Step(3)]


def test_ping_alone_refuses_a_protocol() -> None:
    """With the remedy."""
    refusals = {
        name: face_of(make(kind)).refuse([protocol])
        for name, kind in TOOLS.items()
        for protocol in ("udp", "tcpSyn")
    }
    assert refusals.pop("ping") == "ping sends only ICMP; list icmp and icmp6 alone"
    assert set(refusals.values()) == {None}
    assert face_of(Ping()).refuse(["icmp", "icmp6"]) is None


@pytest.mark.parametrize(("name", "kind"), TOOLS.items())
def test_traces_and_comparisons_count_destinations(name: str, kind: type[Tool]) -> None:
    """The other tools' plans say each probe."""
    face = face_of(make(kind))
    is_traced = name in {"trace", "aliases"}
    assert (face.unit is Unit.DESTINATION) == is_traced
    assert (face.trace(0.05) is not None) == is_traced
    assert face.compares == (name == "aliases")


def test_aliases_end_after_the_round_that_tests_once_more() -> None:
    """However many rounds there may be."""
    face = face_of(OF_PATHS)
    following = [face.next_steps(Step(number), 10) for number in (1, 2, 3)]
    assert following == [[Step(2), Step(3)], [Step(3)], []]


def test_traces_share_the_failure_probability_among_branching_points() -> None:
    """If their number is given; otherwise it is that of each."""
    alone, shared = (
        face_of(Trace(max_branching=most)).trace(0.05) for most in (None, 8)
    )
    assert alone
    assert alone.failure_probability == 0.05
    assert shared
    assert shared.failure_probability == pytest.approx(1 - 0.95 ** (1 / 8))


def test_a_preset_stands_for_what_is_not_given() -> None:
    """What is given replaces it; without either, it is as usual."""
    asked = [
        face_of(tool).trace(0.05)
        for tool in (
            Trace(),
            Trace(preset="ark"),
            Trace(preset="ark", algorithm="mda", wait_seconds=2, attempts=1),
        )
    ]
    values = [
        (each.algorithm, each.wait_s, each.attempts, each.gap_limit)
        for each in asked
        if each
    ]
    assert values == [
        ("mdaLite", None, 3, 5),
        ("singlePath", 5, 3, 5),
        ("mda", 2, 1, 5),
    ]


def test_yarrp_alone_fills_and_not_beyond_what_an_agent_may_probe() -> None:
    """Only if it is asked to."""
    assert {face_of(make(kind)).fill_ttl(32) for kind in TOOLS.values()} == {None}
    face = face_of(Yarrp(fill_ttl=20))
    assert [face.fill_ttl(highest) for highest in (32, 16)] == [20, 16]


def test_ark_traces_by_icmp_alone() -> None:
    """A list of UDP is refused, with the remedy."""
    face = face_of(Trace(preset="ark"))
    assert face.refuse(["icmp", "icmp6"]) is None
    reason = face.refuse(["icmp", "udp"])
    assert reason
    assert "list icmp and icmp6 alone" in reason


def test_each_run_draws_destinations_by_a_seed_of_its_own() -> None:
    """Unless one is given, or the first flows have the addresses."""
    drawn = face_of(Trace(random_destination=RandomDestination()))
    one, other = (drawn.choose_seed(run) for run in (b"uid/1", b"uid/2"))
    assert one is not None
    assert one != other
    assert one == drawn.choose_seed(b"uid/1")
    fixed = face_of(Trace(random_destination=RandomDestination(seed=0)))
    assert fixed.choose_seed(b"uid/1") == 0
    assert [face_of(make(kind)).choose_seed(b"uid/1") for kind in TOOLS.values()] == (
        [None] * len(TOOLS)
    )


def test_a_shared_rule_ends_when_a_round_promises_too_little() -> None:
    """By what the last one found; the sweep goes on in any case."""
    face = face_of(DiamondMiner(rule="shared"))
    sent = [100_000, 100_000, 50_000, 50_000]
    assert not face.is_worth(1_000, sent, [10_000, 100_000, 100_000, 100_000])
    assert face.is_worth(1_000, sent, [10_000, 99_700, 100_000, 100_000])
    assert face.is_worth(1_000, sent[:3], [10_000, 90_000, 100_000])
    assert face.is_worth(1_000, sent[:2], [100_000, 100_000])
    assert face_of(DiamondMiner()).is_worth(1, sent, [100_000] * 4)
