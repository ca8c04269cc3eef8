"""What is said of all that a run leaves out."""

from __future__ import annotations

from dataclasses import replace

from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import Decision, Observation, PutRoster, RunView
from anabranch.rounds.shortfall import TargetCounts
from anabranch.rounds.steps import FIRST
from anabranch.runs.report import Findings, ProbeCount
from observations import (
    BUCKET,
    SUMMARY,
    find_condition,
    make_outcome,
    see,
    start,
)

HALF = TargetCounts(1, {"NotAllowed": 1, "PartlyExcluded": 1})
NONE = TargetCounts(0, {"Reserved": 2})


def read_targets(decision: Decision) -> tuple[int, int, dict[str, int]] | None:
    """Targets probed, and left out, in all and by the reason."""
    targets = decision.status.targets
    if targets is None:
        return None
    reasons = {each.reason: each.count for each in targets.reasons}
    return targets.probed, targets.left_out, reasons


def read_shortfalls(decision: Decision) -> dict[str, int]:
    """All other shortfalls."""
    return {each.reason: each.count for each in decision.status.shortfalls}


def test_targets_are_told_once_all_agents_have_split_their_lists() -> None:
    """With the sums over all of them."""
    seen = start()
    seen = replace(seen, runs={"agent1": RunView({}, SUMMARY, HALF)})
    assert read_targets(decide(seen, BUCKET)) is None
    seen = replace(seen, runs=dict.fromkeys(seen.agents, RunView({}, SUMMARY, HALF)))
    decision = decide(seen, BUCKET)
    assert read_targets(decision) == (2, 2, {"NotAllowed": 2})
    assert decision.status.targets
    message = "2 of 4 targets left out: 2 outside of the policy's allow list"
    assert decision.status.targets.message == message
    assert read_shortfalls(decision) == {"PartlyExcluded": 2}


def test_what_steps_are_short_of_is_told_as_they_end() -> None:
    """Prefixes without a route are targets that are left out."""
    seen = start(count=1)
    outcome = make_outcome(FIRST, None, unroutable=1, dropped=7, amplified=0)
    run = RunView({FIRST: outcome}, targets=TargetCounts(4, {}))
    seen = replace(seen, runs={"agent1": run}, findings=Findings(7, 9, ("links",)))
    decision = decide(seen, BUCKET)
    assert read_targets(decision) == (3, 1, {"NoRoute": 1})
    assert read_shortfalls(decision) == {"PacketsDropped": 7}
    complete = find_condition(decision, "Complete")
    assert complete.message == (
        "1 of 1 agents are through; 1 of 4 targets left out: 1 without a route"
    )


def test_a_run_with_nothing_to_probe_fails_with_the_reason() -> None:
    """And nothing is gathered."""
    seen = start()
    seen = replace(seen, runs=dict.fromkeys(seen.agents, RunView(targets=NONE)))
    decision = decide(seen, BUCKET)
    failed = find_condition(decision, "Failed")
    assert failed.reason == "NoTargets"
    assert "4 of 4 targets left out: 4 in reserved space" in failed.message
    assert decision.status.completion_time
    assert decision.actions == ()
    assert read_targets(decision) == (0, 4, {"Reserved": 4})


def test_an_agent_with_nothing_to_probe_is_one_that_fails() -> None:
    """Others go on."""
    seen = start()
    runs = {"agent1": RunView(targets=NONE), "agent2": RunView({}, SUMMARY, HALF)}
    decision = decide(replace(seen, runs=runs), BUCKET)
    assert find_condition(decision, "Ready").reason == "Running"
    (unhealthy,) = decision.status.unhealthy_agents
    assert unhealthy.name == "agent1"
    assert "nothing is left to probe: 2 of 2 targets" in unhealthy.reason
    assert read_shortfalls(decision) == {"PartlyExcluded": 1, "AgentFailed": 1}


def test_more_than_json_can_count_to_is_told_as_so_much() -> None:
    """As of ::/0, of which a policy allows a /20."""
    seen = start(count=1)
    many = TargetCounts(1, {"NotAllowed": 1 << 64})
    decision = decide(
        replace(seen, runs={"agent1": RunView({}, SUMMARY, many)}), BUCKET
    )
    assert read_targets(decision) == (1, 1 << 53, {"NotAllowed": 1 << 53})


def rehearse(*counts: ProbeCount) -> Observation:
    """A dry run in which each agent has counted."""
    seen = see(count=len(counts), dryRun=True)
    (put,) = decide(seen, BUCKET).actions
    assert isinstance(put, PutRoster)
    return replace(
        seen, roster=put.roster, counts=dict(zip(seen.agents, counts, strict=True))
    )


def test_a_dry_run_says_what_a_run_would_leave_out() -> None:
    """In its message and its status."""
    seen = rehearse(ProbeCount(1, 32, {"NotAllowed": 1}), ProbeCount(2, 64))
    decision = decide(seen, BUCKET)
    assert read_targets(decision) == (3, 1, {"NotAllowed": 1})
    assert (
        "2 agents would send 96 probes to 3 targets in the first round (1 of 4 targets "
        "left out: 1 outside of the policy's allow list); set dryRun to false"
    ) in find_condition(decision, "Complete").message


def test_a_dry_run_of_nothing_is_refused() -> None:
    """As the run would be."""
    decision = decide(rehearse(ProbeCount(0, 0, {"Reserved": 1})), BUCKET)
    assert find_condition(decision, "Stalled").reason == "NoTargets"
    assert find_condition(decision, "Failed").reason == "NoTargets"
    assert find_condition(decision, "Complete").status == "False"
