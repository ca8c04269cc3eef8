"""What an agent may send, and what is wanted of a Round."""

from __future__ import annotations

from typing import Any

import pytest

from anabranch.api import Agent, ProbingPolicy, Round
from anabranch_agent.demand import Hold, Pause, Probe
from anabranch_agent.policy import (
    Invalid,
    choose_demand,
    count_steps,
    is_over,
    read_object,
    read_rules,
)

LOST, PAUSED = Hold("LeaseLost", "gone"), Hold("StoreUnavailable", "away")


def make(kind: type[Any], name: str, spec: dict[str, Any], **more: Any) -> Any:
    """An object as the API server has it, read."""
    metadata = {"name": name, "namespace": "surveys", "uid": "1"}
    head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind.__name__}
    return read_object(kind, {**head, "metadata": metadata, "spec": spec, **more})


def policy(**spec: Any) -> ProbingPolicy:
    """A policy that says this, too."""
    made: ProbingPolicy = make(
        ProbingPolicy, "default", {"contact": "probing@example.org", **spec}
    )
    return made


def agent(**spec: Any) -> Agent:
    """An Agent that says this, too."""
    made: Agent = make(Agent, "paris", {"nodeName": "vp1", **spec})
    return made


def measured(conditions: tuple[dict[str, str], ...] = (), **spec: Any) -> Round:
    """A Round that says this, too."""
    usual = {
        "measurement": {"name": "survey", "uid": "2"},
        "runId": "1",
        "agent": "paris",
        "nodeName": "vp1",
        "round": 1,
        "plan": {"key": "x", "digest": f"sha256:{0:064}", "blocks": 1, "probes": 1},
        "rate": 10,
    }
    status = {"conditions": list(conditions)}
    made: Round = make(Round, "survey-1", usual | spec, status=status)
    return made


@pytest.mark.parametrize(
    ("of_policy", "of_agent", "reason"),
    [
        (None, agent(), "NoPolicy"),
        (Invalid("what"), agent(), "PolicyInvalid"),
        (policy(stop=True), agent(), "PolicyStop"),
        (policy(), None, "NoAgent"),
        (policy(), Invalid("what"), "AgentInvalid"),
    ],
)
def test_without_a_valid_policy_and_agent_nothing_is_sent(
    of_policy: ProbingPolicy | Invalid | None,
    of_agent: Agent | Invalid | None,
    reason: str,
) -> None:
    """And the reason says which."""
    rules = read_rules(of_policy, of_agent)
    assert isinstance(rules, Hold)
    assert rules.reason == reason


def test_what_can_not_be_read_says_where() -> None:
    """Such as what only a later version knows."""
    odd = policy(contact="probing@example.org", exclusions=["192.0.2.1/24"])
    assert isinstance(odd, Invalid)
    assert "exclusions.0" in odd.message
    assert "192.0.2.0/24" in odd.message


def test_the_lower_rate_counts_and_all_exclusions_do() -> None:
    """Of the policy and of the Agent; its sources are addresses."""
    rules = read_rules(
        policy(maxRate=500, exclusions=["198.51.99.0/24"]),
        agent(exclusions=["198.51.98.0/24"], sourceAddressV4="192.0.2.7", maxTtl=30),
    )
    assert not isinstance(rules, Hold)
    assert rules.total == 500
    assert "198.51.98.1" in rules.forbidden
    assert "198.51.99.1" in rules.forbidden
    assert "240.0.0.1" in rules.forbidden
    assert "198.51.97.1" not in rules.forbidden
    assert [str(source) for source in rules.limits.sources] == ["192.0.2.7"]
    assert (rules.limits.max_ttl, rules.limits.contact) == (30, "probing@example.org")
    lower = read_rules(policy(maxRate=5000), agent(maxProbingRate=300))
    assert not isinstance(lower, Hold)
    assert lower.total == 300


def test_a_round_is_probed_unless_something_speaks_against_it() -> None:
    """What speaks against it is told: what people did themselves, first."""
    rules = read_rules(policy(), agent(allowedNamespaces=["surveys"]))
    assert not isinstance(rules, Hold)
    probe = Probe(rules.limits, rules.forbidden)
    assert choose_demand(measured(), rules, None, None) == probe
    paused = choose_demand(measured(), rules, None, PAUSED)
    assert isinstance(paused, Probe)
    assert probe.is_same_prober(paused)
    assert choose_demand(measured(), rules, LOST, PAUSED) == Pause(LOST)
    stop = Hold("PolicyStop", "it says stop")
    assert choose_demand(measured(), stop, None, None) == Pause(stop)
    suspended = choose_demand(measured(suspend=True), stop, LOST, None)
    assert isinstance(suspended, Pause)
    assert suspended.hold.reason == "Suspended"
    others = read_rules(policy(), agent(allowedNamespaces=["elsewhere"]))
    refused = choose_demand(measured(), others, None, None)
    assert isinstance(refused, Pause)
    assert refused.hold.reason == "NamespaceNotAllowed"


def test_rates_and_exclusions_need_no_other_prober_but_other_limits_do() -> None:
    """A prober can be told these while it runs, and no more."""

    def demand(of_policy: ProbingPolicy) -> Probe:
        rules = read_rules(of_policy, agent())
        assert not isinstance(rules, Hold)
        return Probe(rules.limits, rules.forbidden)

    usual = demand(policy())
    assert usual.is_same_prober(demand(policy(exclusions=["192.0.2.0/24"])))
    assert usual.is_same_prober(demand(policy(maxRate=7)))
    assert usual.is_same_prober(demand(policy(maxRatePerPrefix=7)))
    other = policy(contact="another@example.org")
    assert not usual.is_same_prober(demand(other))
    assert not usual.is_same_prober(Pause(LOST))


def test_a_round_is_over_when_its_status_says_so() -> None:
    """Complete or failed."""
    time = {"lastTransitionTime": "2026-12-01T00:00:00Z", "reason": "X", "message": ""}

    def condition(kind: str, status: str) -> dict[str, str]:
        return {"type": kind, "status": status, **time}

    assert not is_over(measured())
    assert not is_over(measured((condition("Complete", "False"),)))
    assert not is_over(measured((condition("Ready", "True"),)))
    assert is_over(measured((condition("Complete", "True"),)))
    assert is_over(measured((condition("Failed", "True"),)))


def test_hand_outs_of_a_step_share_no_prefix() -> None:
    """But other steps, other teams and agents without a team may."""
    hand_outs = [measured(team="t", blocks=[n], handOut=n + 1) for n in range(3)]
    assert count_steps(hand_outs) == 1
    others = [measured(), measured(), measured(team="u", blocks=[0], handOut=1)]
    later = measured(team="t", blocks=[0], handOut=1, round=2)
    assert count_steps([*hand_outs, *others, later]) == 5
    assert count_steps([]) == 0
