"""Which targets an agent gets."""

from __future__ import annotations

import pytest

from anabranch.api.agent import AgentSpec
from anabranch.api.policy import ProbingPolicySpec, TenantLimits
from anabranch.api.targetlist import TargetEntry
from anabranch.api.tool import DiamondMiner, Ping, Tool, Yarrp
from anabranch.rounds.closed import find_forbidden
from anabranch.rounds.shortfall import TargetCounts
from anabranch.rounds.targets import (
    choose_targets,
    read_entries,
)

POLICY = ProbingPolicySpec(contact="https://example.org")
AGENT = AgentSpec(node_name="node-7")


def test_exclusions_of_policy_and_agent_both_count() -> None:
    """Neither opens what the other closes."""
    policy = POLICY.model_copy(update={"exclusions": ("8.8.8.0/24",)})
    agent = AGENT.model_copy(update={"exclusions": ("1.1.1.1",)})
    forbidden = find_forbidden(policy, agent)
    assert "8.8.8.0/24" in forbidden
    assert "1.1.1.1" in forbidden
    assert "9.9.9.9" not in forbidden


def test_an_allow_list_forbids_all_else_and_opens_no_exclusion() -> None:
    """An exclusion inside of it stays closed."""
    policy = POLICY.model_copy(
        update={"allow": ("8.8.0.0/16",), "exclusions": ("8.8.8.0/24",)}
    )
    forbidden = find_forbidden(policy, AGENT)
    assert "9.9.9.9" in forbidden
    assert "2600::1" in forbidden
    assert "8.8.8.8" in forbidden
    assert "8.8.4.4" not in forbidden


def test_an_empty_allow_list_forbids_everything() -> None:
    """It is not the same as none."""
    forbidden = find_forbidden(POLICY.model_copy(update={"allow": ()}), AGENT)
    assert "0.0.0.0/0" in forbidden
    assert "::/0" in forbidden


@pytest.mark.parametrize("policy_allows", [False, True])
@pytest.mark.parametrize("agent_allows", [False, True])
def test_reserved_space_takes_the_word_of_both(
    *, policy_allows: bool, agent_allows: bool
) -> None:
    """The policy's and the agent's."""
    policy = POLICY.model_copy(update={"allow_reserved": policy_allows})
    agent = AGENT.model_copy(update={"allow_reserved": agent_allows})
    is_open = "240.0.0.0/4" not in find_forbidden(policy, agent)
    assert is_open == (policy_allows and agent_allows)


def test_a_bare_address_is_its_24_or_itself_for_ping() -> None:
    """As Iris's documentation has it."""
    entries = read_entries([TargetEntry(target="8.8.8.8", protocol="icmp")])
    for tool, count in ((DiamondMiner(), 1), (Ping(), 1), (Yarrp(prefix_len_v4=32), 1)):
        assert choose_targets(entries, tool, POLICY, AGENT).counts.probed == count
    whole = read_entries([TargetEntry(target="8.8.8.0/24", protocol="icmp")])
    assert choose_targets(whole, Ping(), POLICY, AGENT).counts.probed == 256


def test_a_policy_limits_the_targets_of_a_measurement() -> None:
    """More are refused with their number."""
    policy = POLICY.model_copy(update={"limits": TenantLimits(max_targets=255)})
    entries = read_entries([TargetEntry(target="8.8.0.0/16")])
    with pytest.raises(ValueError, match="256 targets, above the limit of 255"):
        choose_targets(entries, DiamondMiner(), policy, AGENT)


def test_targets_that_are_left_out_are_counted_by_the_first_reason() -> None:
    """And those that are probed in part, which stay."""
    policy = POLICY.model_copy(
        update={
            "exclusions": ("8.8.0.0/24", "8.8.1.0/25"),
            "allow": ("8.8.0.0/22", "10.0.0.0/24"),
        }
    )
    agent = AGENT.model_copy(update={"exclusions": ("8.8.0.0/23",)})
    entries = read_entries(
        [TargetEntry(target="8.8.0.0/21"), TargetEntry(target="10.0.0.0/23")]
    )
    choice = choose_targets(entries, Yarrp(), policy, agent)
    assert choice.counts == TargetCounts(
        2,
        {
            "ExcludedByPolicy": 1,
            "ExcludedByAgent": 1,
            "Reserved": 2,
            "NotAllowed": 4,
        },
    )
    agent = AGENT.model_copy(update={"exclusions": ("8.8.2.7",)})
    choice = choose_targets(entries, Yarrp(), policy, agent)
    assert choice.counts.probed == len(choice.targets) == 3
    assert choice.counts.shortfalls["PartlyExcluded"] == 2


@pytest.mark.parametrize(
    ("tool", "probed", "outside", "cut"),
    [(Yarrp(), 2, 1, 1), (Ping(), 2, 1, 1), (DiamondMiner(), 2, 1, 1)],
)
def test_what_an_agents_ttls_leave_of_targets_is_counted(
    tool: Tool, probed: int, outside: int, cut: int
) -> None:
    """Nothing, or not all; ping asks for the highest TTL alone."""
    agent = AGENT.model_copy(update={"min_ttl": 5, "max_ttl": 20})
    lowest = 1 if isinstance(tool, Ping) else 5
    entries = read_entries(
        [
            TargetEntry(target="8.8.8.8/32", protocol="icmp", min_ttl=1, max_ttl=4),
            TargetEntry(target="8.8.9.9/32", protocol="icmp", min_ttl=5, max_ttl=32),
            TargetEntry(
                target="8.8.7.7/32", protocol="icmp", min_ttl=lowest, max_ttl=20
            ),
        ]
    )
    counts = choose_targets(entries, tool, POLICY, agent).counts
    assert counts == TargetCounts(probed, {"OutsideTtls": outside, "TtlsCut": cut})


def test_nothing_may_be_left() -> None:
    """Whoever asks for targets then sees why."""
    entries = read_entries([TargetEntry(target="10.0.0.0/24")])
    choice = choose_targets(entries, DiamondMiner(), POLICY, AGENT)
    assert choice.counts == TargetCounts(0, {"Reserved": 1})
