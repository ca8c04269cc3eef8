"""The judge of a soak sees what is wrong, and nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from soak.judge import (
    AT_REST,
    AT_WORK,
    MEBIBYTE,
    Found,
    Process,
    judge_children,
    judge_cycles,
    judge_end,
    judge_process,
    judge_rate,
    judge_senders,
)

LINKS = frozenset({("240.0.0.1", "240.0.0.2"), ("240.0.0.2", "240.0.0.3")})
COMPLETE = {
    "conditions": [{"type": "Complete", "status": "True"}],
    "agents": {"total": 2, "finished": 2},
    "totals": {"probes": 10, "replies": 9},
}
TO = IPv4Address("240.0.16.1")


def test_a_measurement_that_found_all_is_well() -> None:
    """Any difference from an undisturbed one is told."""
    calm = Found(COMPLETE, LINKS)
    same = ("agents", "probes", "replies", "links")
    assert not list(judge_end("it", calm, calm, same))
    fewer = COMPLETE | {"totals": {"probes": 10, "replies": 8}}
    failed = COMPLETE | {"conditions": [{"type": "Failed", "status": "True"}]}
    lost = COMPLETE | {"agents": {"total": 2, "finished": 1}}
    for found in (
        Found(fewer, LINKS),
        Found(failed, LINKS),
        Found(lost, LINKS),
        Found(COMPLETE, LINKS, ("block 0 ends at 1 of 2",)),
        Found(COMPLETE, frozenset(list(LINKS)[:1])),
    ):
        assert len(list(judge_end("it", found, calm, same))) == 1
    assert not list(judge_end("it", Found(fewer, LINKS), calm, ("probes",)))


def make_round(**spec: Any) -> dict[str, Any]:
    """A Round."""
    usual = {"measurement": {"uid": "1"}, "runId": "1", "agent": "paris", "round": 1}
    return {"spec": usual | spec}


def test_an_agent_has_one_round_for_a_step() -> None:
    """Others are for other agents, windows, or blocks of a team."""
    rounds = [make_round(), make_round(agent="tokyo"), make_round(window=1)]
    rounds += [make_round(team="both", blocks=[0])] * 2
    assert not list(judge_children(rounds))
    assert list(judge_children([*rounds, make_round()]))


def test_a_cycle_has_one_measurement() -> None:
    """A survey has one for each of its cycles."""

    def make(name: str, cycle: str) -> dict[str, Any]:
        labels = {"anabranch.dev/cycle": cycle, "anabranch.dev/survey-uid": "1"}
        return {"metadata": {"name": name, "labels": labels}}

    cycles = [make("weekly-1", "1"), make("weekly-2", "2")]
    assert not list(judge_cycles(cycles))
    assert list(judge_cycles([*cycles, make("another", "2")]))


def test_a_node_keeps_its_rate() -> None:
    """In each second, wherever it begins."""
    steady = [(second / 100, TO) for second in range(1000)]
    assert not list(judge_rate("n1", steady, 100))
    assert list(judge_rate("n1", sorted(steady * 2), 100))


def test_a_target_has_one_sender() -> None:
    """Another one may go on with it, but not both in turn."""
    first = [(float(second), "n1", TO) for second in range(10)]
    then = [(float(second), "n2", TO) for second in range(10, 20)]
    assert not list(judge_senders([*first, *then]))
    assert list(judge_senders([*first, *then, (12.5, "n1", TO)]))
    assert not list(judge_senders([*first, *then, (60.0, "n1", TO)]))


def test_processes_keep_their_limits() -> None:
    """Of memory, files and threads."""
    assert not list(judge_process(Process("agent", 100 * MEBIBYTE, 20, 10), AT_REST))
    leaking = Process("agent", 2000 * MEBIBYTE, 2000, 200)
    assert len(list(judge_process(leaking, AT_WORK))) == 3
