"""How a team's run goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from anabranch.manifests.rounds import Share
from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateJob,
    CreateRound,
    DeleteRound,
    Observation,
    PutHandOut,
    RunView,
)
from anabranch.reconcile.teamcourse import LOST_SECONDS, SILENT_SECONDS
from anabranch.rounds.division import HandOut
from anabranch.rounds.outcome import PlanSummary
from anabranch.rounds.steps import FIRST
from observations import BUCKET, DIGEST, NOW, make_round, ready, start

TEAM = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
PLAN = PlanSummary(DIGEST, 32, destinations=1000)


def begin(count: int = 2) -> Observation:
    """A team's run whose plan is made."""
    seen = start(count=count, trace={}, diamondMiner=None, agents=[TEAM])
    return replace(seen, runs={"team": RunView(summary=PLAN)})


def give(seen: Observation) -> Observation:
    """The same, with what is handed out now."""
    run = seen.runs["team"]
    actions = decide(seen, BUCKET).actions
    given = tuple(each.hand_out for each in actions if isinstance(each, PutHandOut))
    run = replace(run, hand_outs=run.hand_outs + given)
    return replace(seen, runs={"team": run})


def with_rounds(seen: Observation, statuses: dict[int, Any]) -> Observation:
    """The same, with a Round for each hand-out, and these statuses."""
    rounds = {}
    for number, hand_out in enumerate(seen.runs["team"].hand_outs):
        share = Share("team", number + 1, hand_out.blocks)
        status = statuses.get(number, {})
        made = make_round(seen, hand_out.agent, FIRST, status, share)
        rounds[made.metadata.name] = made
    return replace(seen, rounds=rounds)


def lose(seen: Observation, agent: str, seconds: float) -> Observation:
    """The same, where an agent can't probe, since so many seconds."""
    view = replace(seen.agents[agent], is_ready=False, message="gone")
    since = {agent: NOW - timedelta(seconds=seconds)}
    agents = {**seen.agents, agent: view}
    return replace(seen, agents=agents, unable_since=since)


def find(seen: Observation, kind: type) -> list[Any]:
    """The actions of a kind."""
    return [each for each in decide(seen, BUCKET).actions if isinstance(each, kind)]


STOPPED = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "Suspended",
            "message": "",
            "lastTransitionTime": "2026-11-24T00:00:00Z",
        }
    ],
}


def test_members_have_blocks_first_and_then_rounds() -> None:
    """One plan for all of them, and each block for one."""
    seen = begin()
    given = [each.hand_out for each in find(seen, PutHandOut)]
    assert [each.agent for each in given] == ["agent1", "agent2"]
    assert set(given[0].blocks).isdisjoint(given[1].blocks)
    assert not find(seen, CreateRound)
    made = find(give(seen), CreateRound)
    assert [each.agent.metadata.name for each in made] == ["agent1", "agent2"]
    assert [each.share.blocks for each in made] == [each.blocks for each in given]


def test_the_next_blocks_are_given_as_soon_as_all_has_begun() -> None:
    """Or is through; not before."""
    seen = give(begin())
    assert not find(with_rounds(seen, {}), PutHandOut)
    ending = ready() | {"conditions": [ready()["conditions"][0] | {"reason": "Ending"}]}
    (given,) = find(with_rounds(seen, {0: ending}), PutHandOut)
    assert (given.number, given.hand_out.agent) == (2, "agent1")
    (given,) = find(with_rounds(seen, {1: ready("Complete")}), PutHandOut)
    assert (given.number, given.hand_out.agent) == (2, "agent2")


def test_a_step_is_concluded_once_all_blocks_are_probed() -> None:
    """By the Job of the team."""
    seen = begin()
    rounds = 0
    while find(seen, PutHandOut):
        seen = give(seen)
        done = dict.fromkeys(range(len(seen.runs["team"].hand_outs)), ready("Complete"))
        seen = with_rounds(seen, done)
        rounds += 1
    (job,) = find(seen, CreateJob)
    assert job.arguments[0] == "conclude"
    assert job.agent == "team"
    assert rounds > 2


def test_what_a_lost_agent_has_is_taken_back_once_it_is_silent() -> None:
    """First its Round is suspended; it goes once another agent has its blocks."""
    seen = with_rounds(give(begin()), {1: ready("Complete")})
    suspended = lose(seen, "agent1", LOST_SECONDS - 1)
    assert not find(suspended, ChangeRound)
    suspended = lose(seen, "agent1", LOST_SECONDS)
    (change,) = find(suspended, ChangeRound)
    assert change.suspend
    # It does not answer, so what it has stays with it for a while.
    blocks = seen.runs["team"].hand_outs[0].blocks
    (given,) = find(suspended, PutHandOut)
    assert set(given.hand_out.blocks).isdisjoint(blocks)
    everything = tuple(range(32))
    rest = HandOut("agent2", tuple(b for b in everything if b not in blocks))
    run = replace(seen.runs["team"], hand_outs=(seen.runs["team"].hand_outs[0], rest))
    seen = with_rounds(replace(seen, runs={"team": run}), {1: ready("Complete")})
    assert not find(lose(seen, "agent1", SILENT_SECONDS - 1), PutHandOut)
    silent = lose(seen, "agent1", SILENT_SECONDS)
    (given,) = find(silent, PutHandOut)
    assert set(given.hand_out.blocks) <= set(blocks)
    taken = replace(run, hand_outs=(*run.hand_outs, given.hand_out))
    (gone,) = find(replace(silent, runs={"team": taken}), DeleteRound)
    first = make_round(seen, "agent1", FIRST, {}, Share("team", 1, blocks))
    assert gone.name == first.metadata.name


def test_an_agent_that_comes_back_has_what_nobody_took() -> None:
    """And never what others have by then."""
    seen = with_rounds(give(begin()), {1: ready("Complete")})
    first = seen.runs["team"].hand_outs[0]
    assert not find(seen, DeleteRound)
    taken = HandOut("agent2", first.blocks[:1])
    run = replace(seen.runs["team"], hand_outs=(*seen.runs["team"].hand_outs, taken))
    back = replace(seen, runs={"team": run})
    assert len(find(back, DeleteRound)) == 1
    free = {block for each in find(back, PutHandOut) for block in each.hand_out.blocks}
    assert first.blocks[0] not in free


def test_a_team_without_members_that_can_probe_says_so() -> None:
    """And goes on when one comes back."""
    seen = lose(begin(count=1), "agent1", 10)
    status = decide(seen, BUCKET).status
    ready_ = next(each for each in status.conditions if each.type == "Ready")
    assert (ready_.reason, ready_.status) == ("AgentsUnavailable", "False")
    assert "agent1" in ready_.message
    assert not find(seen, PutHandOut)
