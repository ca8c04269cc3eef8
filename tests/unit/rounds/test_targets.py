"""Which targets an agent gets."""

from __future__ import annotations

import pytest

from anabranch.api.agent import AgentSpec
from anabranch.api.policy import ProbingPolicySpec, TenantLimits
from anabranch.api.targetlist import TargetEntry
from anabranch.api.tool import DiamondMiner, Ping, Tool, Yarrp
from anabranch.rounds.targets import (
    SplitLengths,
    choose_split,
    choose_targets,
    find_forbidden,
    read_entries,
)

POLICY = ProbingPolicySpec(contact="https://example.org")
AGENT = AgentSpec(node_name="node-7")


@pytest.mark.parametrize(
    ("tool", "lengths"),
    [
        (DiamondMiner(), SplitLengths(24, 64)),
        (DiamondMiner(prefix_len_v4=20, prefix_len_v6=48), SplitLengths(20, 48)),
        (Yarrp(prefix_len_v4=32), SplitLengths(32, 64)),
        (Ping(), SplitLengths(32, 128)),
    ],
)
def test_a_tool_splits_as_iris_does(tool: Tool, lengths: SplitLengths) -> None:
    """Diamond-Miner and Yarrp to their own lengths, ping to addresses."""
    assert choose_split(tool) == lengths


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
        assert len(choose_targets(entries, tool, POLICY, AGENT)) == count
    whole = read_entries([TargetEntry(target="8.8.8.0/24", protocol="icmp")])
    assert len(choose_targets(whole, Ping(), POLICY, AGENT)) == 256


def test_a_policy_limits_the_targets_of_a_measurement() -> None:
    """More are refused with their number."""
    policy = POLICY.model_copy(update={"limits": TenantLimits(max_targets=255)})
    entries = read_entries([TargetEntry(target="8.8.0.0/16")])
    with pytest.raises(ValueError, match="256 targets, above the limit of 255"):
        choose_targets(entries, DiamondMiner(), policy, AGENT)
