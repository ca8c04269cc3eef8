"""How a team's run goes on when a member's parts are not what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anabranch.manifests.rounds import Share
from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import (
    CreateJob,
    Observation,
    PutHandOut,
    RunView,
)
from anabranch.rounds.division import HandOut
from anabranch.rounds.outcome import PlanSummary
from anabranch.rounds.steps import FIRST
from observations import BUCKET, DIGEST, make_round, ready, start

TEAM = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
GIVEN = (HandOut("agent1", (0, 1)), HandOut("agent2", (2, 3)))


def probe(*given: HandOut, **more: Any) -> Observation:
    """A team's run, where all says it is complete of what was handed out."""
    seen = start(count=2, trace={}, diamondMiner=None, agents=[TEAM])
    rounds = {}
    for number, hand_out in enumerate(given):
        share = Share("team", number + 1, hand_out.blocks)
        made = make_round(seen, hand_out.agent, FIRST, ready("Complete"), share)
        rounds[made.metadata.name] = made
    plan = PlanSummary(DIGEST, 4, destinations=1000)
    run = replace(RunView(summary=plan, hand_outs=given), **more)
    return replace(seen, rounds=rounds, runs={"team": run})


def test_what_a_member_left_goes_to_others_though_it_says_complete() -> None:
    """It gets nothing more, and the step is concluded once others are through."""
    seen = probe(*GIVEN)
    assert [type(each) for each in decide(seen, BUCKET).actions] == [CreateJob]
    lied = probe(*GIVEN, unfinished={0: (1,)})
    (given,) = decide(lied, BUCKET).actions
    assert isinstance(given, PutHandOut)
    assert given.hand_out.agent == "agent2"
    assert set(given.hand_out.blocks) <= {0, 1}
    status = decide(lied, BUCKET).status
    assert status.agents_summary == "1/2"
    (liar,) = status.unhealthy_agents
    assert liar.name == "agent1"
    assert "hand-out 1 of step 001-00" in liar.reason
    assert "blocks 1;" in liar.reason
    taken = probe(*GIVEN, HandOut("agent2", (0, 1)), unfinished={0: (1,)})
    assert [type(each) for each in decide(taken, BUCKET).actions] == [CreateJob]


def test_a_team_of_liars_fails() -> None:
    """With the reason; so nothing is handed out again and again."""
    seen = probe(*GIVEN, unfinished={0: (1,), 1: (2, 3)})
    status = decide(seen, BUCKET).status
    counts = status.agents
    assert counts is not None
    assert (counts.total, counts.failed) == (2, 2)
    assert [each.name for each in status.unhealthy_agents] == ["agent1", "agent2"]
    assert not any(
        isinstance(each, PutHandOut) for each in decide(seen, BUCKET).actions
    )
