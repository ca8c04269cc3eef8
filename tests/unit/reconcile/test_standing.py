"""What the operator does about a standing measurement."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anabranch.api import Agent, Round
from anabranch.manifests.rounds import build_standing_round
from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateStandingRound,
    DeleteJob,
    DeleteRound,
)
from anabranch.rounds.steps import FIRST
from observations import (
    BUCKET,
    NOW,
    find_condition,
    go_on,
    make_job,
    make_round,
    read_kind,
    ready,
    see,
    start,
)

if TYPE_CHECKING:
    from anabranch.reconcile.observation import Decision, Observation

WATCH = {"source": "kernel", "ports": [443]}
EVERYONE = {"name": "servers", "selector": {}, "connections": WATCH}


def stand(*entries: dict[str, Any], count: int = 2, **spec: Any) -> Observation:
    """A standing measurement, with all that it takes to serve."""
    return see(
        count, diamondMiner=None, trace={}, agents=list(entries) or [EVERYONE], **spec
    )


def decide_it(seen: Observation) -> Decision:
    """What is decided, by what decides of all measurements."""
    return decide(seen, BUCKET)


def reason(decision: Decision, kind: str = "Ready") -> tuple[str, str]:
    """The status and reason of a condition."""
    found = find_condition(decision, kind)
    return found.status, found.reason


def say(found: Round, counts: dict[str, int]) -> Round:
    """The Round, of which its agent says that it serves."""
    status = ready() | counts
    return Round.read(
        found.model_dump(mode="json", by_alias=True, exclude_none=True)
        | {"status": status}
    )


def act(seen: Observation, **counts: int) -> Observation:
    """What is seen once everything is done that was decided, and agents serve."""
    decision = decide_it(seen)
    rounds = dict(seen.rounds)
    for action in decision.actions:
        match action:
            case CreateStandingRound(agent, standing, rate):
                manifest = build_standing_round(seen.measurement, agent, standing, rate)
                metadata = manifest["metadata"]
                del metadata["ownerReferences"]
                metadata["uid"] = f"uid-{metadata['name']}"
                rounds[metadata["name"]] = say(Round.read(manifest), counts)
            case DeleteRound(name, _):
                del rounds[name]
            case ChangeRound(name, rate, suspend):
                spec = {"rate": rate, "suspend": suspend}
                old = rounds[name]
                new = old.spec.model_copy(update=spec)
                rounds[name] = old.model_copy(update={"spec": new})
            case _:
                pass
    return go_on(replace(seen, rounds=rounds), decision)


def change(seen: Observation, **spec: Any) -> Observation:
    """The same with another spec."""
    measurement = seen.measurement
    new = stand(**spec).measurement
    update = {"status": measurement.status}
    return replace(seen, measurement=new.model_copy(update=update))


def name_agents(seen: Observation) -> list[str]:
    """The agents that have Rounds."""
    return sorted(each.spec.agent for each in seen.rounds.values())


def test_each_agent_gets_a_round_without_a_run() -> None:
    """Nothing starts: no time, no roster, no Job."""
    decision = decide_it(stand())
    creates = [a for a in decision.actions if isinstance(a, CreateStandingRound)]
    assert len(creates) == len(decision.actions) == 2
    assert {each.agent.metadata.name for each in creates} == {"agent1", "agent2"}
    assert creates[0].standing.connections.ports == (443,)
    assert creates[0].rate == 1000
    assert reason(decision) == ("False", "Starting")
    assert reason(decision, "Complete") == ("False", "InProgress")
    assert decision.status.start_time is None
    assert decision.status.run_id == "1"


def test_it_is_ready_while_an_agent_serves() -> None:
    """The others are named; and nothing changes any more."""
    seen = act(stand(), probesSent=5)
    decision = decide_it(seen)
    assert not decision.actions
    assert reason(decision) == ("True", "Serving")
    assert find_condition(decision, "Ready").message == "2 of 2 agents serve"
    assert decision.status.agents_summary == "2/2"
    assert decision.status.totals
    assert decision.status.totals.probes == 10
    away = replace(seen.agents["agent1"], is_ready=False, message="its node is away")
    one = decide_it(replace(seen, agents={**seen.agents, "agent1": away}))
    assert reason(one) == ("True", "Serving")
    (unhealthy,) = one.status.unhealthy_agents
    assert (unhealthy.name, unhealthy.reason) == ("agent1", "its node is away")
    assert one.status.agents_summary == "1/2"
    none = decide_it(
        replace(
            seen,
            agents={n: replace(away, agent=v.agent) for n, v in seen.agents.items()},
        )
    )
    assert reason(none) == ("False", "AgentsUnavailable")
    assert not none.actions


def test_agents_come_and_go() -> None:
    """By their labels, by admins who add and remove them, and by namespaces."""
    chosen = EVERYONE | {"selector": {"matchLabels": {"team": "a"}}}
    seen = act(stand(chosen))
    more = replace(stand(chosen, count=3), rounds=seen.rounds)
    assert name_agents(act(more)) == ["agent1", "agent2", "agent3"]
    view = seen.agents["agent1"]
    metadata = view.agent.metadata.model_copy(update={"labels": {"team": "b"}})
    other = replace(view, agent=view.agent.model_copy(update={"metadata": metadata}))
    relabelled = act(replace(seen, agents={**seen.agents, "agent1": other}))
    assert name_agents(relabelled) == ["agent2"]
    gone = act(replace(seen, agents={"agent1": view}))
    assert name_agents(gone) == ["agent1"]
    spec = {"nodeName": "n1", "allowedNamespaces": ["teaching"]}
    closed = replace(view, agent=read_kind(Agent, "agent1", spec))
    decision = decide_it(replace(seen, agents={**seen.agents, "agent1": closed}))
    assert [type(action) for action in decision.actions] == [DeleteRound]
    assert "does not serve namespace" in decision.status.unhealthy_agents[0].reason
    assert reason(decision) == ("True", "Serving")


def test_an_agent_on_another_node_has_another_round() -> None:
    """A Round names the node, and an Agent of this name may be made anew."""
    seen = act(stand(count=1))
    moved = replace(
        seen.agents["agent1"], agent=read_kind(Agent, "agent1", {"nodeName": "n9"})
    )
    seen = act(replace(seen, agents={"agent1": moved}))
    assert [each.spec.node_name for each in seen.rounds.values()] == ["n9"]


def test_a_changed_spec_makes_rounds_anew() -> None:
    """At any time, since nothing has started; rates change in place.

    Those of the earlier spec pause, and go once others can take their queues.
    """
    seen = act(stand())
    other = EVERYONE | {"connections": WATCH | {"anonymize": "netblock"}}
    changed = replace(change(seen), measurement=stand(other).measurement)
    decision = decide_it(changed)
    kinds = sorted(type(action).__name__ for action in decision.actions)
    assert kinds == 2 * ["ChangeRound"] + 2 * ["CreateStandingRound"]
    between = act(changed)
    paused = {name for name, each in between.rounds.items() if each.spec.suspend}
    assert paused == seen.rounds.keys()
    assert [type(action) for action in decide_it(between).actions] == 2 * [DeleteRound]
    after = act(between)
    assert all(
        each.spec.standing and each.spec.standing.connections.anonymize == "netblock"
        for each in after.rounds.values()
    )
    assert after.rounds.keys().isdisjoint(seen.rounds)
    slow = replace(seen, measurement=stand(EVERYONE | {"probingRate": 50}).measurement)
    assert {
        (action.rate, action.suspend)
        for action in decide_it(slow).actions
        if isinstance(action, ChangeRound)
    } == {(50, False)}
    assert act(slow).rounds.keys() == seen.rounds.keys()


def test_a_spec_that_changes_while_nobody_may_serve_keeps_queues() -> None:
    """Suspended, or without a policy; a queue of another run, or node, goes."""
    seen = act(stand())
    other = EVERYONE | {"connections": WATCH | {"maxTraces": 1}}
    paused = replace(seen, measurement=stand(other, suspend=True).measurement)
    unruled = replace(seen, measurement=stand(other).measurement, policy=None)
    for changed in (paused, unruled):
        after = act(changed)
        assert after.rounds.keys() == seen.rounds.keys()
        assert all(each.spec.suspend for each in after.rounds.values())
        assert not decide_it(after).actions
        resumed = replace(after, measurement=stand(other).measurement)
        resumed = act(act(replace(resumed, policy=seen.policy)))
        assert len(resumed.rounds) == 2
        assert resumed.rounds.keys().isdisjoint(seen.rounds)
        assert not any(each.spec.suspend for each in resumed.rounds.values())
    anew = stand(other, runId="2", suspend=True).measurement
    assert not act(replace(seen, measurement=anew)).rounds


def test_suspension_keeps_rounds() -> None:
    """They pause; who joins meanwhile waits."""
    seen = act(stand())
    paused = replace(seen, measurement=stand(suspend=True).measurement)
    decision = decide_it(paused)
    assert reason(decision) == ("False", "Suspended")
    assert reason(decision, "Suspended") == ("True", "Suspended")
    after = act(paused)
    assert all(each.spec.suspend for each in after.rounds.values())
    joined = replace(after, agents=stand(count=3).agents)
    assert not decide_it(joined).actions
    resumed = act(replace(joined, measurement=stand().measurement))
    assert name_agents(resumed) == ["agent1", "agent2", "agent3"]
    assert not any(each.spec.suspend for each in resumed.rounds.values())


def test_what_is_in_the_way_keeps_new_rounds_away_and_ends_none() -> None:
    """Agents obey the policy themselves; queues must outlive its edits."""
    seen = stand()
    policy = seen.policy
    assert policy
    stopped = policy.model_copy(update={"stop": True})
    for word, given in (("NoPolicy", None), ("ProbingStopped", stopped)):
        decision = decide_it(replace(seen, policy=given))
        assert reason(decision) == ("False", word)
        assert not decision.actions
        later = decide_it(replace(act(seen), policy=given))
        assert reason(later) == ("False", word)
        assert not later.actions
    twice = stand(EVERYONE, EVERYONE | {"name": "agent1", "selector": None})
    decision = decide_it(twice)
    assert reason(decision) == ("False", "AgentTwice")
    assert reason(decision, "Stalled") == ("True", "AgentTwice")
    assert not decision.actions
    nobody = decide_it(stand(EVERYONE | {"name": "nobody", "selector": None}))
    assert reason(nobody) == ("False", "AgentMissing")


def test_a_policy_that_limits_durations_lets_nothing_stand() -> None:
    """What serves already pauses."""
    seen = stand()
    assert seen.policy
    limits = seen.policy.limits.model_copy(update={"max_duration_seconds": 3600})
    limited = seen.policy.model_copy(update={"limits": limits})
    decision = decide_it(replace(seen, policy=limited))
    assert reason(decision) == ("False", "PolicyLimit")
    assert reason(decision, "Stalled") == ("True", "PolicyLimit")
    assert not decision.actions
    serving = act(replace(act(seen), policy=limited))
    assert all(each.spec.suspend for each in serving.rounds.values())
    freed = act(replace(serving, policy=seen.policy))
    assert not any(each.spec.suspend for each in freed.rounds.values())


def test_min_agents_and_start_at_count_until_it_serves() -> None:
    """Not when agents leave later."""
    seen = stand(minAgents=3)
    decision = decide_it(seen)
    assert reason(decision) == ("False", "WaitingForAgents")
    assert not decision.actions
    begun = act(stand())
    fewer = replace(begun, measurement=seen.measurement)
    assert reason(decide_it(fewer)) == ("True", "Serving")
    soon = (NOW + timedelta(seconds=10)).isoformat()
    decision = decide_it(stand(startAt=soon))
    assert reason(decision) == ("False", "NotYet")
    assert decision.requeue_seconds == 10
    assert not decision.actions


def test_agents_without_a_socket_can_not_serve_its_events() -> None:
    """The others do; without any, that is the obstacle."""
    entry = EVERYONE | {"connections": {"source": "eventSocket"}}
    decision = decide_it(stand(entry))
    assert reason(decision) == ("False", "EventSocketMissing")
    assert "have an admin set it" in find_condition(decision, "Ready").message
    assert not decision.actions
    seen = stand(entry)
    spec = {"nodeName": "n1", "eventSocket": "/var/local/events/socket"}
    able = replace(seen.agents["agent1"], agent=read_kind(Agent, "agent1", spec))
    seen = act(replace(seen, agents={**seen.agents, "agent1": able}))
    assert name_agents(seen) == ["agent1"]
    decision = decide_it(seen)
    assert reason(decision) == ("True", "Serving")
    assert decision.status.agents_summary == "1/2"
    assert decision.status.unhealthy_agents[0].name == "agent2"


def test_an_entry_that_chooses_nobody_is_told_while_others_serve() -> None:
    """It may be an agent that is yet to come, or a typing error."""
    one = EVERYONE | {"name": "agent1", "selector": None}
    seen = act(stand(one, one | {"name": "agnt2"}))
    decision = decide_it(seen)
    assert reason(decision) == ("True", "Serving")
    assert "no Agent is named 'agnt2'" in find_condition(decision, "Ready").message


def test_a_dry_run_says_who_would_serve() -> None:
    """And what served goes."""
    decision = decide_it(stand(dryRun=True))
    assert reason(decision) == ("True", "DryRun")
    assert reason(decision, "Complete") == ("True", "DryRun")
    assert find_condition(decision, "Ready").message == (
        "2 of 2 agents would serve (agent1, agent2); set dryRun to false to start"
    )
    assert not decision.actions
    assert not decision.status.unhealthy_agents
    seen = act(stand())
    assert not act(replace(seen, measurement=stand(dryRun=True).measurement)).rounds
    begun = act(go_on(stand(), decision))
    assert reason(decide_it(begun), "Complete") == ("False", "InProgress")


def test_what_an_earlier_run_left_goes() -> None:
    """A Measurement of a list may become one of connections, with another runId."""
    ran = start()
    step = make_round(ran, "agent1", FIRST)
    job = make_job("survey-begin")
    new = stand(runId="2").measurement
    new = new.model_copy(update={"status": ran.measurement.status})
    seen = replace(
        ran,
        measurement=new,
        rounds={step.metadata.name: step},
        jobs={job.name: job},
        roster=None,
    )
    decision = decide_it(seen)
    assert DeleteRound(step.metadata.name, step.metadata.uid) in decision.actions
    assert DeleteJob(job.name, job.uid) in decision.actions
    assert decision.status.start_time is None
    assert decision.status.run_id == "2"
