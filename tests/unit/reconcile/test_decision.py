"""What is said of a measurement, and done for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest

from anabranch.api import Agent, Measurement, Round
from anabranch.api.measurementspec import Output
from anabranch.api.measurementstatus import MeasurementStatus, Subject
from anabranch.manifests.rounds import name_step
from anabranch.reconcile.course import CUT_SECONDS
from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import (
    ChangeRound,
    CreateJob,
    CreateRound,
    Decision,
    DeleteJob,
    DeleteRound,
    ExpireJob,
    PutAnnotations,
    PutRoster,
    RunView,
)
from anabranch.rounds.steps import FIRST, Step
from anabranch.runs.report import Findings
from observations import (
    BUCKET,
    DIGEST,
    NOW,
    SUMMARY,
    find_condition,
    go_on,
    make_job,
    make_outcome,
    make_round,
    make_subject,
    read_kind,
    ready,
    see,
    see_aliases,
    start,
)

if TYPE_CHECKING:
    from anabranch.api.resource import Condition
    from anabranch.reconcile.observation import Observation


def read_ready(decision: Decision) -> tuple[str, str]:
    """The status and reason of Ready."""
    (found,) = (c for c in decision.status.conditions if c.type == "Ready")
    return found.status, found.reason


def find_kstatus(decision: Decision, generation: int) -> str:
    """What Flux and kubectl's library say (cli-utils, pkg/kstatus/status)."""
    conditions = {c.type: c.status for c in decision.status.conditions}
    if decision.status.observed_generation != generation:
        return "InProgress"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready") == "True" else "InProgress"


def test_a_start_is_said_before_anything_is_done() -> None:
    """From then on the spec is fixed; then come the roster and the first Jobs."""
    seen = see()
    decision = decide(seen, BUCKET)
    assert decision.actions == ()
    assert decision.status.start_time == NOW
    assert [each.digest for each in decision.status.target_lists] == [DIGEST]
    seen = go_on(seen, decision)
    decision = decide(seen, BUCKET)
    (put,) = decision.actions
    assert isinstance(put, PutRoster)
    assert [each.name for each in put.roster.members] == ["agent1", "agent2"]
    decision = decide(replace(seen, roster=put.roster), BUCKET)
    jobs = [action for action in decision.actions if isinstance(action, CreateJob)]
    assert [job.arguments[0] for job in jobs] == ["begin", "begin"]
    assert len(decision.actions) == 2


def test_each_agent_goes_at_its_own_pace() -> None:
    """A Round for the one whose plan is made, a Job for the one that is through."""
    seen = start()
    outcomes = {FIRST: make_outcome(FIRST, Step(2))}
    found = make_round(seen, "agent2", Step(2), ready("Complete"))
    seen = replace(
        seen,
        runs={"agent1": RunView({}, SUMMARY), "agent2": RunView(outcomes, SUMMARY)},
        rounds={found.metadata.name: found},
    )
    create, job = decide(seen, BUCKET).actions
    assert isinstance(create, CreateRound)
    assert (create.agent.metadata.name, create.step) == ("agent1", FIRST)
    assert isinstance(job, CreateJob)
    assert job.arguments[0] == "conclude"
    assert job.arguments[-1] == "002-00"


def test_nothing_is_done_twice() -> None:
    """What is there is not made again."""
    seen = start()
    begun = name_step(seen.measurement, "agent1", "begin")
    running = replace(make_job(begun), is_complete=False)
    found = make_round(seen, "agent2", FIRST)
    seen = replace(
        seen,
        jobs={begun: running},
        rounds={found.metadata.name: found},
        runs={"agent2": RunView({}, SUMMARY)},
    )
    assert decide(seen, BUCKET).actions == ()


def test_a_job_whose_work_is_not_there_is_done_again() -> None:
    """The store is the truth, whatever a Job says."""
    seen = start(count=1)
    begun = name_step(seen.measurement, "agent1", "begin")
    seen = replace(seen, jobs={begun: make_job(begun)})
    assert decide(seen, BUCKET).actions == (DeleteJob(begun, f"uid-{begun}"),)


def test_an_agent_that_is_replaced_gets_no_round() -> None:
    """Until its new pod is there; what it has goes on."""
    seen = start(count=1)
    view = replace(seen.agents["agent1"], is_outdated=True)
    seen = replace(seen, agents={"agent1": view}, runs={"agent1": RunView({}, SUMMARY)})
    assert decide(seen, BUCKET).actions == ()


def test_rounds_that_are_over_go_but_for_the_last_few() -> None:
    """And their Jobs expire."""
    seen = start(count=1)
    steps = [FIRST, *(Step(number) for number in range(2, 7))]
    outcomes = {step: make_outcome(step, Step(step.round + 1)) for step in steps}
    rounds = [make_round(seen, "agent1", step) for step in steps]
    job = make_job(name_step(seen.measurement, "agent1", "002-00"))
    seen = replace(
        seen,
        runs={"agent1": RunView(outcomes, SUMMARY)},
        rounds={each.metadata.name: each for each in rounds},
        jobs={job.name: job},
    )
    *tidy, create = decide(seen, BUCKET).actions
    assert [each for each in tidy if isinstance(each, DeleteRound)] == [
        DeleteRound(each.metadata.name, each.metadata.uid) for each in rounds[:3]
    ]
    assert any(isinstance(each, ExpireJob) for each in tidy)
    assert isinstance(create, CreateRound)


def test_a_run_ends_with_its_results() -> None:
    """They are gathered once all agents are through, and told with their places."""
    seen = start()
    run, other = (
        RunView({FIRST: make_outcome(FIRST, None, missing_links=missing)})
        for missing in (2.8, None)
    )
    seen = replace(seen, runs={"agent1": run, "agent2": other})
    (job,) = decide(seen, BUCKET).actions
    assert isinstance(job, CreateJob)
    assert job.arguments[0] == "results"
    assert job.arguments[-2:] == ("agent1", "agent2")
    seen = replace(seen, findings=Findings(7, 9, ("links",), ("report", "warts")))
    decision = decide(seen, BUCKET)
    assert read_ready(decision) == ("True", "Completed")
    assert decision.status.completion_time == NOW
    assert decision.status.totals
    assert (decision.status.totals.links, decision.status.totals.probes) == (9, 1200)
    assert decision.status.totals.missing_links == 3
    links, report, warts = decision.status.results
    assert links.uri == "s3://bucket/surveys/uid-survey/1/links.parquet"
    assert report.uri == "s3://bucket/surveys/uid-survey/1/report/report.html"
    assert warts.uri == "s3://bucket/surveys/uid-survey/1/warts/"
    after = decide(go_on(seen, decision), BUCKET)
    assert after.status == decision.status
    assert after.actions == ()


def test_all_tables_and_outputs_are_told_with_their_places() -> None:
    """Those of aliases and annotations among them."""
    tables = (
        *("interfaces", "links", "diamonds", "traces"),
        *("aliases", "routers", "router_links", "as_links"),
    )
    outputs = get_args(Output)
    run = RunView({FIRST: make_outcome(FIRST, None)})
    found = Findings(7, 9, tables, outputs)
    seen = replace(start(count=1), runs={"agent1": run}, findings=found)
    status = decide(seen, BUCKET).status
    assert [each.name for each in status.results] == [*tables, *outputs]
    MeasurementStatus.model_validate(status.model_dump(by_alias=True))


def test_what_config_maps_say_is_put_before_the_job_that_reads_it() -> None:
    """Objects are in the store already."""
    for source, kinds in (
        ({"configMap": {"name": "ours", "key": "a"}}, [PutAnnotations, CreateJob]),
        ({"object": {"key": "a.mmdb"}}, [CreateJob]),
    ):
        seen = start(count=1, annotateFrom=[source])
        run = RunView({FIRST: make_outcome(FIRST, None)})
        decision = decide(replace(seen, runs={"agent1": run}), BUCKET)
        assert [type(action) for action in decision.actions] == kinds


def test_a_run_says_why_addresses_are_not_annotated() -> None:
    """It is complete all the same."""
    seen = start(count=1)
    run = RunView({FIRST: make_outcome(FIRST, None)})
    why = "a.mmdb: is empty; download it again"
    found = Findings(7, 9, ("links",), not_annotated=why)
    seen = replace(seen, runs={"agent1": run}, findings=found)
    decision = decide(seen, BUCKET)
    assert read_ready(decision) == ("True", "Completed")
    (message,) = (
        each.message for each in decision.status.conditions if each.type == "Complete"
    )
    assert message.endswith(f"; addresses are not annotated: {why}")


def overrun(by: timedelta) -> Observation:
    """A run of an agent that probes, looked at so long after its start."""
    seen = start(count=1, activeDeadlineSeconds=1)
    found = make_round(seen, "agent1", FIRST)
    return replace(
        seen,
        runs={"agent1": RunView({}, SUMMARY)},
        rounds={found.metadata.name: found},
        now=NOW + by,
    )


@pytest.mark.parametrize("by", [timedelta(seconds=2), timedelta(hours=10)])
def test_what_takes_too_long_is_cut_and_looked_at(by: timedelta) -> None:
    """Agents are told to stop; then what they stored is concluded, and no more.

    They have the same time for it if the limit is lowered when it is long past.
    """
    seen = overrun(by)
    told = decide(seen, BUCKET)
    (name,) = seen.rounds
    assert told.actions == (ChangeRound(name, 1000, suspend=True),)
    cut = go_on(seen, told)
    soon = replace(cut, now=seen.now + timedelta(seconds=CUT_SECONDS - 1))
    assert decide(soon, BUCKET).actions == told.actions
    late = replace(cut, now=seen.now + timedelta(seconds=CUT_SECONDS + 1))
    (job,) = decide(late, BUCKET).actions
    assert isinstance(job, CreateJob)
    assert job.arguments[-1] == "--last"
    run = RunView({FIRST: make_outcome(FIRST, None, is_cut=True)})
    over = replace(late, runs={"agent1": run}, findings=Findings(1, 1, ()))
    decision = decide(over, BUCKET)
    assert read_ready(decision) == ("False", "DeadlineExceeded")
    assert find_kstatus(decision, 1) == "Failed"


@pytest.mark.parametrize(("reason", "concludes"), [("Storing", 0), ("Suspended", 1)])
def test_an_agent_that_pauses_may_store_its_last_part(
    reason: str, concludes: int
) -> None:
    """The step is concluded once the agent says that it has."""
    seen = overrun(timedelta(seconds=2))
    cut = go_on(seen, decide(seen, BUCKET))
    (found,) = cut.rounds.values()
    told = {"type": "Ready", "status": "False", "reason": reason}
    more = {"message": "", "lastTransitionTime": "2026-11-01T00:00:00Z"}
    body = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    body["spec"]["suspend"] = True
    body["status"] = {"conditions": [told | more]}
    cut = replace(cut, rounds={found.metadata.name: Round.read(body)})
    soon = replace(cut, now=seen.now + timedelta(seconds=10))
    made = [type(each) for each in decide(soon, BUCKET).actions]
    assert made == [CreateJob] * concludes
    late = replace(cut, now=seen.now + timedelta(seconds=100))
    assert [type(each) for each in decide(late, BUCKET).actions] == [CreateJob]


def test_a_run_that_gets_more_time_goes_on() -> None:
    """As if it had never been cut."""
    seen = overrun(timedelta(seconds=2))
    cut = go_on(seen, decide(seen, BUCKET))
    spec = cut.measurement.spec.model_copy(update={"active_deadline_seconds": 60})
    measurement = cut.measurement.model_copy(update={"spec": spec})
    (found,) = cut.rounds.values()
    suspended = found.model_copy(
        update={"spec": found.spec.model_copy(update={"suspend": True})}
    )
    rounds = {found.metadata.name: suspended}
    decision = decide(replace(cut, measurement=measurement, rounds=rounds), BUCKET)
    assert decision.actions == (ChangeRound(found.metadata.name, 1000, suspend=False),)
    kinds = {each.type for each in decision.status.conditions}
    assert "FailureTarget" not in kinds


@pytest.mark.parametrize(
    ("change", "reason", "kstatus"),
    [
        ({}, "Started", "Current"),
        ({"suspend": True}, "Suspended", "InProgress"),
        ({"minAgents": 5}, "WaitingForAgents", "InProgress"),
        ({"startAt": "2026-12-01T00:00:00Z"}, "NotYet", "InProgress"),
        (
            {"agents": [{"name": "nobody", "targetList": "list"}]},
            "AgentMissing",
            "InProgress",
        ),
        (
            {"agents": [{"name": "agent1", "targetList": "other"}]},
            "TargetListMissing",
            "InProgress",
        ),
        (
            {
                "agents": [
                    {"name": "agent1", "targetList": "list"},
                    {"name": "all", "selector": {}, "targetList": "list"},
                ]
            },
            "AgentTwice",
            "Failed",
        ),
        ({"dryRun": True}, "Counting", "InProgress"),
    ],
)
def test_what_is_said_before_a_start(
    change: dict[str, Any], reason: str, kstatus: str
) -> None:
    """With what Flux and `kubectl wait` make of it."""
    decision = decide(see(**change), BUCKET)
    assert read_ready(decision)[1] == reason
    assert find_kstatus(decision, 1) == kstatus
    (complete,) = (c for c in decision.status.conditions if c.type == "Complete")
    assert complete.status == "False"


def test_conditions_keep_the_time_of_their_last_change() -> None:
    """It moves with the status alone, not with the reason."""
    seen = see(minAgents=5)
    before = decide(seen, BUCKET).status
    later = replace(go_on(seen, Decision(before)), now=NOW + timedelta(hours=1))

    def find(conditions: tuple[Condition, ...]) -> Condition:
        return next(each for each in conditions if each.type == "Ready")

    assert decide(later, BUCKET).status == before
    moved = find(decide(replace(later, policy=None), BUCKET).status.conditions)
    assert (moved.reason, moved.last_transition_time) == ("NoPolicy", NOW)
    enough = replace(later, agents=see(count=5).agents)
    started = find(decide(enough, BUCKET).status.conditions)
    assert started.last_transition_time == later.now


def test_only_what_is_in_the_way_counts_for_a_start() -> None:
    """An hour of suspension, or of a dry run, does not."""
    seen = see(minAgents=5, startDeadlineSeconds=600)
    idle = seen.measurement.spec.model_copy(update={"suspend": True})
    waited = go_on(seen, decide(seen, BUCKET))
    assert waited.measurement.status.waiting_since == NOW
    asleep = waited.measurement.model_copy(update={"spec": idle})
    suspended = decide(replace(waited, measurement=asleep), BUCKET)
    assert suspended.status.waiting_since is None
    awake = go_on(waited, suspended)
    late = replace(awake, now=NOW + timedelta(hours=1))
    assert read_ready(decide(late, BUCKET))[1] == "WaitingForAgents"
    later = replace(go_on(late, decide(late, BUCKET)), now=NOW + timedelta(hours=2))
    assert read_ready(decide(later, BUCKET))[1] == "StartDeadlineExceeded"


def test_what_is_over_is_not_gone_on_with() -> None:
    """An agent that comes back finds no Round of it."""
    seen = start(count=1)
    found = make_round(seen, "agent1", FIRST)
    seen = replace(
        seen,
        runs={"agent1": RunView({}, SUMMARY)},
        rounds={found.metadata.name: found},
    )
    delete = DeleteRound(found.metadata.name, found.metadata.uid)
    gone = decide(replace(seen, agents={}), BUCKET)
    assert delete in gone.actions
    elsewhere = read_kind(Agent, "agent1", {"nodeName": "n9"})
    view = replace(seen.agents["agent1"], agent=elsewhere)
    moved = decide(replace(seen, agents={"agent1": view}), BUCKET)
    assert delete in moved.actions
    ended = replace(seen, agents={}, findings=Findings(0, 0, ()))
    over = go_on(ended, decide(ended, BUCKET))
    assert read_ready(Decision(over.measurement.status))[1] == "AgentsFailed"
    assert decide(over, BUCKET).actions == (delete,)


def test_what_an_agent_says_of_a_round_is_told() -> None:
    """A survey that can't go on does not say that it runs."""
    seen = start(count=1)
    condition = ready()["conditions"][0] | {
        "status": "False",
        "reason": "ProbingError",
        "message": "not permitted",
    }
    found = make_round(seen, "agent1", FIRST, {"conditions": [condition]})
    seen = replace(
        seen,
        runs={"agent1": RunView({}, SUMMARY)},
        rounds={found.metadata.name: found},
    )
    decision = decide(seen, BUCKET)
    assert read_ready(decision) == ("False", "AgentsUnavailable")
    (unhealthy,) = decision.status.unhealthy_agents
    assert unhealthy.reason == "not permitted"


def test_a_run_id_that_has_been_is_refused() -> None:
    """Its results are there already, of another spec perhaps."""
    seen = start()
    assert seen.roster
    earlier = seen.roster.model_copy(update={"started": NOW - timedelta(days=1)})
    decision = decide(replace(seen, roster=earlier), BUCKET)
    assert read_ready(decision) == ("False", "RunIdUsed")


@pytest.mark.parametrize(
    ("subject", "reason", "message"),
    [
        (None, "SubjectMissing", "there is no Measurement 'paths' in namespace"),
        (
            make_subject(aliases={"of": "others"}),
            "SubjectUnusable",
            "is of the tool aliases itself",
        ),
        (
            make_subject().model_copy(update={"status": MeasurementStatus()}),
            "SubjectNotComplete",
            "is not complete; it starts when it is",
        ),
        (make_subject(complete=False), "SubjectNotComplete", "has failed; run it"),
    ],
)
def test_it_waits_for_what_it_compares(
    subject: Measurement | None, reason: str, message: str
) -> None:
    """It says what is missing."""
    said = find_condition(decide(see_aliases(subject), BUCKET), "Ready")
    assert (said.status, said.reason) == ("False", reason)
    assert message in said.message


def test_the_run_that_it_compares_is_fixed_at_its_start() -> None:
    """Whatever becomes of that measurement later."""
    seen = see_aliases(make_subject())
    decision = decide(seen, BUCKET)
    assert decision.status.start_time == NOW
    assert decision.status.subject == Subject(uid="uid-paths", run_id="1")
    (put,) = decide(replace(go_on(seen, decision), subject=None), BUCKET).actions
    assert isinstance(put, PutRoster)
    assert put.roster.subject == decision.status.subject
    assert put.roster.lists == {}
    record = put.roster.record("agent1", DIGEST)
    assert (record.subject, record.target_list) == (put.roster.subject, DIGEST)
