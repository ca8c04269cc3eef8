"""What Rounds get of what their namespace may send on a day."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.api.policy import ProbingPolicySpec
from anabranch.manifests.rounds import Share, build_standing_round, name_round
from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import (
    Budget,
    ChangeRound,
    CreateRound,
    CreateStandingRound,
    PutCharge,
    RunCount,
    RunView,
)
from anabranch.reconcile.rationing import Purse, keep_for
from anabranch.rounds.division import HandOut
from anabranch.rounds.outcome import PlanSummary
from anabranch.rounds.steps import FIRST
from anabranch.runs.account import Charge
from observations import (
    BUCKET,
    DIGEST,
    NOW,
    SUMMARY,
    find_condition,
    make_round,
    ready,
    see,
    start,
)

if TYPE_CHECKING:
    from anabranch.api import Round
    from anabranch.reconcile.observation import Decision, Observation

TRACES = PlanSummary(DIGEST, 1, None, 50)
WATCH = {"source": "kernel", "ports": [443]}


def allow(
    seen: Observation,
    limit: int,
    used: int = 0,
    kept: int = 0,
    **paid: int,
) -> Observation:
    """The same with a quota; ``paid`` is of the Rounds of the first step, by agent."""
    names = {
        name_round(seen.measurement, agent, FIRST): until
        for agent, until in paid.items()
    }
    budget = Budget("research", NOW.date(), limit, used, names, kept)
    return replace(seen, budget=budget)


def plan(count: int = 2, summary: PlanSummary = SUMMARY) -> Observation:
    """A run whose plans are made."""
    seen = start(count=count)
    runs = {f"agent{n}": RunView({}, summary) for n in range(1, count + 1)}
    return replace(seen, runs=runs)


def probe(
    seen: Observation, sent: int, kind: str = "Ready", *, suspend: bool = False
) -> Observation:
    """The same while the first agent probes, or has."""
    found = make_round(seen, "agent1", FIRST, ready(kind) | {"probesSent": sent})
    summary = seen.runs["agent1"].summary
    assert summary
    asked = {"probes": summary.probes, "destinations": summary.destinations}
    assert found.spec.plan
    asks = found.spec.plan.model_copy(update=asked)
    spec = found.spec.model_copy(update={"plan": asks, "suspend": suspend})
    found = found.model_copy(update={"spec": spec})
    return replace(seen, rounds={found.metadata.name: found})


def name(seen: Observation, agent: str = "agent1") -> str:
    """The name of the Round of the first step."""
    return name_round(seen.measurement, agent, FIRST)


def list_charges(decision: Decision) -> list[Charge]:
    """What is charged."""
    return [each.charge for each in decision.actions if isinstance(each, PutCharge)]


def list_creates(decision: Decision) -> list[str]:
    """The agents that get Rounds."""
    return [
        each.agent.metadata.name
        for each in decision.actions
        if isinstance(each, CreateRound | CreateStandingRound)
    ]


def list_changes(decision: Decision) -> list[ChangeRound]:
    """What is changed of Rounds."""
    return [each for each in decision.actions if isinstance(each, ChangeRound)]


def test_a_round_is_charged_by_its_plan_before_it_is_made() -> None:
    """What is charged is said in the action, for whoever charges at the same time."""
    seen = allow(plan(), 1200)
    decision = decide(seen, BUCKET)
    first, *rest = decision.actions
    charge = Charge(name(seen), 0, 600)
    assert first == PutCharge(NOW.date(), charge, limit=1200)
    assert [type(each) for each in rest] == [CreateRound, PutCharge, CreateRound]
    assert list_creates(decision) == ["agent1", "agent2"]
    assert decision.wanted == ()


def test_a_round_waits_whose_plan_does_not_fit() -> None:
    """The one that fits goes on, and the other one says how much it lacks."""
    decision = decide(allow(plan(), 1300, used=101), BUCKET)
    assert list_creates(decision) == ["agent1"]
    assert decision.wanted == (600,)
    (bad,) = decision.status.unhealthy_agents
    assert bad.name == "agent2"
    assert bad.reason == (
        "namespace 'research' has used 101 of 1,300 probes of 2026-11-24 (UTC); this "
        "takes 600 more, and goes on at 00:00 UTC, or when an admin raises "
        "maxProbesPerDay of the ProbingPolicy"
    )
    assert find_condition(decision, "Ready").reason == "Running"


def test_a_run_says_that_its_quota_is_used_up() -> None:
    """Once nothing of it goes on; it is not stalled."""
    decision = decide(allow(plan(), 1000, used=500), BUCKET)
    assert list_creates(decision) == []
    found = find_condition(decision, "Ready")
    assert (found.status, found.reason) == ("False", "QuotaExceeded")
    assert found.message.startswith("agent1: namespace 'research' has used 500 of ")
    assert decision.wanted == (600, 600)
    assert not any(each.type == "Stalled" for each in decision.status.conditions)


def test_what_is_kept_for_others_is_not_taken() -> None:
    """And it is told that they come first."""
    decision = decide(allow(plan(1), 1000, used=100, kept=500), BUCKET)
    assert list_creates(decision) == []
    message = find_condition(decision, "Ready").message
    assert "and keeps 500 for runs that have waited longer" in message


def test_a_round_that_was_charged_is_made_without_another_charge() -> None:
    """Whoever charged it may have ended before the Round was made."""
    decision = decide(allow(plan(1), 600, used=600, agent1=600), BUCKET)
    assert list_charges(decision) == []
    assert list_creates(decision) == ["agent1"]


def test_a_round_of_yesterday_is_charged_for_the_rest() -> None:
    """It goes on by itself if that fits, and pauses if it does not."""
    seen = probe(plan(1), sent=200)
    decision = decide(allow(seen, 1000, used=600), BUCKET)
    assert list_charges(decision) == [Charge(name(seen), 200, 600)]
    assert list_changes(decision) == []
    decision = decide(allow(seen, 1000, used=601), BUCKET)
    assert list_changes(decision) == [ChangeRound(name(seen), 1000, suspend=True)]
    assert find_condition(decision, "Ready").reason == "QuotaExceeded"


def test_a_round_that_pauses_goes_on_the_next_day() -> None:
    """It stays as it is until then."""
    seen = probe(plan(1), sent=200, suspend=True)
    assert decide(allow(seen, 600, used=500), BUCKET).actions == ()
    charge, change = decide(allow(seen, 600), BUCKET).actions
    assert isinstance(charge, PutCharge)
    assert change == ChangeRound(name(seen), 1000, suspend=False)
    (change,) = decide(seen, BUCKET).actions
    assert change == ChangeRound(name(seen), 1000, suspend=False)


def test_what_is_to_pause_does_so_before_anything_is_charged() -> None:
    """A store that takes no charge now must not keep it from that."""
    late = probe(plan(1, TRACES), sent=30)
    pause, put = decide(allow(late, 1000, used=1000, agent1=20), BUCKET).actions
    assert pause == ChangeRound(name(late), 1000, suspend=True)
    assert isinstance(put, PutCharge)


def test_a_suspended_run_is_charged_nothing() -> None:
    """It sends nothing."""
    seen = probe(plan(1), sent=200, suspend=True)
    spec = seen.measurement.spec.model_copy(update={"suspend": True})
    measurement = seen.measurement.model_copy(update={"spec": spec})
    decision = decide(allow(replace(seen, measurement=measurement), 1000), BUCKET)
    assert decision.actions == ()
    assert decision.wanted == ()


def test_what_was_not_sent_is_given_back() -> None:
    """Once, and others of the run have it at once."""
    seen = probe(plan(2), sent=450, kind="Complete")
    decision = decide(allow(seen, 1050, used=600, agent1=600), BUCKET)
    assert list_charges(decision) == [
        Charge(name(seen), 600, 450),
        Charge(name(seen, "agent2"), 0, 600),
    ]
    decision = decide(allow(seen, 1050, used=1050, agent1=450, agent2=600), BUCKET)
    assert list_charges(decision) == []


@pytest.mark.parametrize("summary", [TRACES, replace(SUMMARY, probes=5000)])
def test_what_nobody_can_pay_at_once_is_charged_in_parts(summary: PlanSummary) -> None:
    """Traces, and plans that are larger than a day."""
    seen = plan(1, summary)
    decision = decide(allow(seen, 1000), BUCKET)
    assert list_charges(decision) == [Charge(name(seen), 0, 10)]
    for sent, charged in ((4, []), (5, [Charge(name(seen), 10, 20)])):
        decision = decide(allow(probe(seen, sent), 1000, 10, agent1=10), BUCKET)
        assert list_charges(decision) == charged
    # Its report came late: what it has sent counts, too.
    decision = decide(allow(probe(seen, 25), 1000, 10, agent1=10), BUCKET)
    late, ahead = (a for a in decision.actions if isinstance(a, PutCharge))
    assert (late.charge, late.limit) == (Charge(name(seen), 10, 25), None)
    assert (ahead.charge, ahead.limit) == (Charge(name(seen), 25, 35), 1000)


@pytest.mark.parametrize("summary", [TRACES, replace(SUMMARY, probes=5000)])
def test_what_gets_no_other_part_pauses_before_it_has_sent_the_last(
    summary: PlanSummary,
) -> None:
    """The rest is for what it sends until it is told; a higher quota lets it go on."""
    seen = plan(1, summary)
    decision = decide(allow(probe(seen, 4), 1000, 991, agent1=10), BUCKET)
    assert decision.actions == ()
    seen = probe(seen, 5)
    decision = decide(allow(seen, 1000, 991, agent1=10), BUCKET)
    assert decision.actions == (ChangeRound(name(seen), 1000, suspend=True),)
    assert decision.wanted == (10,)
    seen = probe(seen, 9, suspend=True)
    charge, change = decide(allow(seen, 1010, 991, agent1=10), BUCKET).actions
    assert isinstance(charge, PutCharge)
    assert charge.charge == Charge(name(seen), 10, 20)
    assert change == ChangeRound(name(seen), 1000, suspend=False)


def test_the_last_part_of_a_plan_is_what_it_has_left() -> None:
    """Then it is paid to its end."""
    seen = probe(plan(1, replace(SUMMARY, probes=5000)), 4994)
    decision = decide(allow(seen, 1000, 20, agent1=4995), BUCKET)
    assert list_charges(decision) == [Charge(name(seen), 4995, 5000)]
    decision = decide(allow(seen, 1000, 1000, agent1=5000), BUCKET)
    assert decision.actions == ()


def test_what_was_sent_unseen_is_charged_at_the_end() -> None:
    """Even if it is more than there was."""
    seen = probe(plan(1, TRACES), sent=700, kind="Complete")
    decision = decide(allow(seen, 500, 5, agent1=5), BUCKET)
    (put,) = (each for each in decision.actions if isinstance(each, PutCharge))
    assert (put.charge, put.limit) == (Charge(name(seen), 5, 700), None)


def test_an_agent_that_counts_from_0_again_is_charged_from_there() -> None:
    """Its traces after a start are others than those before."""
    seen = probe(plan(1, TRACES), 3)
    decision = decide(allow(seen, 1000, 500, agent1=500), BUCKET)
    assert list_charges(decision) == [Charge(name(seen), 3, 13)]


def test_many_agents_begin_with_half_a_day_at_most() -> None:
    """However many there are, all of them trace."""
    decision = decide(allow(plan(80, TRACES), 16_000), BUCKET)
    charges = list_charges(decision)
    assert len(charges) == 80
    assert sum(each.probes for each in charges) == 8_000


def test_a_member_of_a_team_is_charged_for_its_blocks() -> None:
    """By their part of the plan."""
    team = {"name": "t", "selector": {}, "targetList": "list", "division": "shared"}
    seen = start(agents=[team])
    summary = PlanSummary(DIGEST, 6, 600)
    hand_outs = (HandOut("agent1", (0, 1)), HandOut("agent2", (2,)))
    seen = replace(seen, runs={"t": RunView({}, summary, hand_outs=hand_outs)})
    decision = decide(allow(seen, 250), BUCKET)
    share = Share("t", 1, (0, 1))
    named = name_round(seen.measurement, "t", FIRST, share)
    assert list_charges(decision) == [Charge(named, 0, 200)]
    assert list_creates(decision) == ["agent1"]
    assert decision.wanted == (100,)
    assert find_condition(decision, "Ready").reason == "Running"
    decision = decide(allow(seen, 300, used=201), BUCKET)
    assert find_condition(decision, "Ready").reason == "QuotaExceeded"


def stand(count: int = 2) -> Observation:
    """A standing measurement, with all that it takes to serve."""
    everyone = {"name": "servers", "selector": {}, "connections": WATCH}
    return see(count, diamondMiner=None, trace={}, agents=[everyone])


def serve(seen: Observation, sent: int) -> Round:
    """The Round of the first agent of a standing measurement."""
    create = next(
        each
        for each in decide(seen, BUCKET).actions
        if isinstance(each, CreateStandingRound)
    )
    manifest: dict[str, Any] = build_standing_round(
        seen.measurement, create.agent, create.standing, create.rate
    )
    del manifest["metadata"]["ownerReferences"]
    manifest["metadata"]["uid"] = "uid"
    return type(make_round(seen, "agent1", FIRST)).read(
        manifest | {"status": ready() | {"probesSent": sent}}
    )


def test_a_standing_measurement_is_charged_in_parts() -> None:
    """For as long as there is something left; then its agents pause."""
    seen = stand(1)
    found = serve(seen, sent=7)
    named = found.metadata.name
    decision = decide(allow(seen, 1000), BUCKET)
    assert list_charges(decision) == [Charge(named, 0, 10)]
    assert list_creates(decision) == ["agent1"]
    seen = replace(seen, rounds={named: found})
    budget = Budget("research", NOW.date(), 1000, 10, {named: 10})
    decision = decide(replace(seen, budget=budget), BUCKET)
    assert list_charges(decision) == [Charge(named, 10, 20)]
    assert find_condition(decision, "Ready").reason == "Serving"
    budget = replace(budget, used=1000, paid={named: 7})
    decision = decide(replace(seen, budget=budget), BUCKET)
    assert list_changes(decision) == [ChangeRound(named, 1000, suspend=True)]
    assert find_condition(decision, "Ready").reason == "QuotaExceeded"
    assert decision.wanted == (10,)


@pytest.mark.parametrize("seen", [see(), stand()])
def test_nothing_begins_once_the_day_or_the_runs_are_used_up(seen: Observation) -> None:
    """And it is told what would help."""
    decision = decide(allow(seen, 1000, used=1000), BUCKET)
    assert decision.actions == ()
    assert decision.status.start_time is None
    assert find_condition(decision, "Ready").reason == "QuotaExceeded"
    decision = decide(replace(seen, run_count=RunCount("research", 3, 1, 1)), BUCKET)
    assert find_condition(decision, "Ready").reason != "QuotaExceeded"
    decision = decide(replace(seen, run_count=RunCount("research", 3, 2, 1)), BUCKET)
    assert decision.actions == ()
    found = find_condition(decision, "Ready")
    assert found.reason == "QuotaExceeded"
    assert found.message == (
        "namespace 'research' has 2 of 3 runs under way, and 1 that have waited longer "
        "come first; it starts when one has ended, or when an admin raises "
        "maxConcurrentRuns of the ProbingPolicy"
    )


def test_a_dry_run_needs_no_quota() -> None:
    """It sends nothing."""
    seen = allow(see(dryRun=True), 1, used=1)
    seen = replace(seen, run_count=RunCount("research", 1, 1, 0))
    assert find_condition(decide(seen, BUCKET), "Ready").reason == "Counting"


def test_a_namespace_may_have_a_quota_of_its_own() -> None:
    """What it does not give is as for all."""
    limits = ProbingPolicySpec.read(
        {
            "contact": "me@here",
            "limits": {
                "maxProbesPerDay": 10,
                "maxConcurrentRuns": 2,
                "namespaces": [{"name": "a", "maxProbesPerDay": 50}],
            },
        }
    ).limits
    of_a, of_b = limits.find_quota("a"), limits.find_quota("b")
    assert (of_a.max_probes_per_day, of_a.max_concurrent_runs) == (50, 2)
    assert (of_b.max_probes_per_day, of_b.max_concurrent_runs) == (10, 2)


def test_what_can_not_go_today_keeps_nothing_for_itself() -> None:
    """Others may have what it can't use; the oldest that fits comes first."""
    assert keep_for(100, [(300,), (60, 50), (40,)]) == 100
    assert keep_for(100, [(50,), (60,)]) == 50
    assert keep_for(-5, [(1,)]) == 0


@given(
    limit=st.integers(1, 2000),
    planned=st.none() | st.integers(1, 5000),
    sends=st.lists(st.integers(0, 300), max_size=40),
)
def test_no_day_is_ever_charged_more_than_it_has(
    limit: int, planned: int | None, sends: list[int]
) -> None:
    """And what is sent within what is paid is charged once."""
    seen = see()
    paid: dict[str, int] = {}
    used = sent = 0
    for send in sends:
        budget = Budget("research", NOW.date(), limit, used, paid)
        purse = Purse(seen.measurement, budget, 1)
        lacks = purse.cover("x", planned, sent)
        used += sum(each.charge.probes for each in purse.puts)
        paid = purse.paid
        assert used <= limit
        if not lacks:
            assert sent < paid["x"] or sent == planned
            sent = min(sent + send, paid["x"])
        assert sent <= used
