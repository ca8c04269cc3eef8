"""What keeps a measurement from probing what it asks for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from anabranch_engine import TargetList

from anabranch.api.manifest import Source, read_manifests
from anabranch.rounds.feasibility import find_infeasible

SURVEY = (Path(__file__).parents[3] / "examples/survey.yaml").read_text()
KEY = ("default", "simulated")


def complaints(text: str, targets: bytes = b"240.0.0.0/24,icmp,2,32,6") -> list[str]:
    manifests = read_manifests([Source("survey.yaml", text.encode())])
    assert manifests.broken == ()
    lists = {KEY: TargetList.read(io.BytesIO(targets))}
    return [str(problem) for problem in find_infeasible(manifests, lists)]


def test_the_example_is_feasible() -> None:
    """As it stands."""
    assert complaints(SURVEY) == []


def test_a_measurement_needs_a_policy() -> None:
    """Without one nothing is sent, so it is told before."""
    _, _, rest = SURVEY.partition("---\n")
    (told,) = complaints(rest)
    assert "spec: there is no ProbingPolicy 'default'" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "  contact:",
            "  limits: {maxRounds: 3}\n  contact:",
            "spec.maxRounds: the policy allows 3; lower it",
        ),
        (
            "  contact:",
            "  limits: {maxTargets: 0x1}\n  exclusions: [240.0.0.0/24]\n  contact:",
            "Agent 'paris': nothing is left to probe: 1 of 1 target left out: 1 ex",
        ),
        (
            "  allowReserved: true\n---",
            "---",
            "1 in reserved space (see allowReserved of policy and agent); list other",
        ),
        (
            "diamondMiner: {}",
            "diamondMiner: {prefixLenV4: 32}\n  maxRounds: 1",
            "",
        ),
    ],
)
def test_a_measurement_must_keep_to_its_policy(old: str, new: str, told: str) -> None:
    """Each limit is told where the measurement exceeds it."""
    found = complaints(SURVEY.replace(old, new, 1))
    assert any(told in each for each in found) if told else found == []


def test_a_limit_of_targets_is_told_with_their_number() -> None:
    """Split as the tool does."""
    policy = SURVEY.replace("  contact:", "  limits: {maxTargets: 255}\n  contact:")
    assert complaints(policy) == []
    (told,) = complaints(policy.replace("diamondMiner", "ping"))
    assert (
        "spec.agents[0].targetList: Agent 'paris': 256 targets, above the limit of 255"
        in told
    )


def test_an_agent_is_of_one_entry_alone() -> None:
    """By name or by selector."""
    twice = SURVEY + "    - {name: tokyo, targetList: simulated}\n"
    (told,) = complaints(twice)
    assert "spec.agents[1]: Agent 'tokyo' is of 'everyone' too; let one entry" in told


def test_ping_sends_no_udp() -> None:
    """Its list says so before anything is sent."""
    ping = SURVEY.replace("diamondMiner", "ping")
    (told,) = complaints(ping, b"240.0.0.0/24,udp,2,32,6")
    assert "ping sends only ICMP" in told


def test_a_team_needs_a_ttl_in_common() -> None:
    """Its plan has the TTLs that all members may probe."""
    apart = SURVEY.replace("nodeName: vp1", "nodeName: vp1\n  maxTtl: 10")
    apart = apart.replace("nodeName: vp2", "nodeName: vp2\n  minTtl: 11")
    assert complaints(apart) == []
    team = "      division: shared\n"
    assert complaints(SURVEY + team) == []
    (told,) = complaints(apart + team)
    assert "spec.agents[0]: agents[everyone]: its agents share no TTL" in told
