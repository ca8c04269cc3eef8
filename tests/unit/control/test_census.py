"""What there is, as Prometheus is told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anabranch.api import Agent, Measurement, ProbingPolicy, Survey
from anabranch.api.policy import POLICY_NAME
from anabranch.control.census import AGENT_REASONS, HINDRANCES, Progress
from anabranch.manifests.labels import COMPONENT
from anabranch.rounds.steps import FIRST
from cases import minimal
from exposition import EMPTY, watch_operator
from observations import make_job, make_round, read_kind, ready, see, start

if TYPE_CHECKING:
    from anabranch.reconcile.inventory import Inventory

PAGE = Path(__file__).parents[3] / "docs" / "operator.md"
GOOD = {
    *("Started", "Running", "Gathering", "Completed", "PartlyComplete", "DryRun"),
    "Serving",
}
"""Reasons of Measurements that go on, or have ended well."""


def tell(inventory: Inventory) -> dict[tuple[str, ...], float]:
    """What is more than 0, by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in watch_operator(inventory).collect()
        for sample in metric.samples
        if sample.value and sample.name.startswith("anabranch_")
        if not sample.name.startswith("anabranch_operator_")
    }


def describe(reason: str, **kinds: bool) -> dict[str, Any]:
    """A status of conditions that have the same reason."""
    condition = {
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    }
    conditions = [
        condition | {"type": kind, "status": "True" if holds else "False"}
        for kind, holds in kinds.items()
    ]
    return {"observedGeneration": 1, "conditions": conditions}


def measure(name: str, status: dict[str, Any] | None = None) -> Measurement:
    """A Measurement with a status."""
    spec = see().measurement.spec.model_dump(by_alias=True, exclude_none=True)
    found: Measurement = read_kind(Measurement, name, spec, status=status or {})
    return found


def test_measurements_are_counted_by_state_and_reason() -> None:
    """Each once, by what matters most of it."""
    statuses = {
        "runs": describe("Running", Ready=True, Complete=False),
        "waits": describe("WaitingForAgents", Ready=False),
        "stalls": describe("PolicyLimit", Ready=False, Stalled=True),
        "failed": describe("AgentsFailed", Ready=False, Stalled=True, Failed=True),
        "complete": describe("Completed", Ready=True, Complete=True),
        "suspended": describe("Suspended", Ready=False, Suspended=True),
        "strange": describe("OfALaterVersion", Ready=False),
        "new": None,
    }
    found = [measure(name, status) for name, status in statuses.items()]
    told = tell(replace(EMPTY, measurements={each.key: [each] for each in found}))
    assert told == {
        **{
            ("anabranch_measurements", state): number
            for state, number in {
                **dict.fromkeys(("failed", "complete", "suspended", "stalled"), 1),
                "ready": 1,
                "waiting": 3,
            }.items()
        },
        **{
            ("anabranch_measurements_hindered", reason): 1
            for reason in (
                *("WaitingForAgents", "PolicyLimit", "AgentsFailed"),
                *("Other", "Unseen"),
            )
        },
    }


def test_surveys_are_counted_by_state() -> None:
    """And those whose latest cycle failed."""
    failed = {
        "cycle": 1,
        "endTime": "2026-11-24T00:00:00Z",
        "succeeded": False,
        "reason": "AgentsFailed",
        "message": "",
    }
    running = {"active": [{"name": "c-000002", "cycle": 2}], "lastEnded": failed}
    statuses = {
        "a": describe("Suspended", Suspended=True, Ready=False),
        "b": describe("Scheduled", Ready=True),
        "c": describe("Running", Ready=True) | running,
        "d": describe("NameTaken", Stalled=True, Ready=False),
        "e": {},
    }
    spec = minimal("Survey")["spec"]
    surveys = [
        read_kind(Survey, name, spec, status=status)
        for name, status in statuses.items()
    ]
    told = tell(replace(EMPTY, surveys={each.key: (each,) for each in surveys}))
    for state in ("suspended", "scheduled", "running", "stalled", "waiting"):
        assert told["anabranch_surveys", state] == 1
    assert told["anabranch_surveys_failing",] == 1


def test_agents_count_in_the_system_namespace() -> None:
    """By why they are ready or not."""
    statuses: tuple[dict[str, Any], ...]
    statuses = (ready(), describe("PodReady", Ready=True), {})
    agents = {
        (EMPTY.system, f"a{n}"): [
            read_kind(Agent, f"a{n}", {"nodeName": "n1"}, status=status)
        ]
        for n, status in enumerate(statuses)
    }
    elsewhere = {("research", "a9"): next(iter(agents.values()))}
    assert tell(replace(EMPTY, agents=agents | elsewhere)) == {
        ("anabranch_agents", "ready", "PodReady"): 1,
        ("anabranch_agents", "ready", "Other"): 1,
        ("anabranch_agents", "unready", "Unseen"): 1,
    }


def test_rounds_tell_how_far_they_are() -> None:
    """Those that are over are no progress that is left to be made."""
    seen = start()
    going = describe("Probing", Ready=True) | {"probesSent": 200}
    over = describe("Complete", Ready=True, Complete=True) | {"probesSent": 600}
    rounds = {
        ("agent", name): [make_round(seen, name, FIRST, status)]
        for name, status in (("agent1", going), ("agent2", over))
    }
    by_uid = {("uid", "uid-survey"): [each for (each,) in rounds.values()]}
    assert tell(replace(EMPTY, rounds=rounds | by_uid)) == {
        ("anabranch_rounds", "probing"): 1,
        ("anabranch_rounds", "complete"): 1,
        ("anabranch_rounds_planned_probes",): 600,
        ("anabranch_rounds_sent_probes",): 200,
    }


def test_rounds_of_traces_tell_of_destinations() -> None:
    """Their probes are no share of those that are planned."""
    seen = start()
    status = describe("Probing", Ready=True)
    status |= {"probesSent": 4000, "destinationsTraced": 30}
    traced = make_round(seen, "agent1", FIRST, status)
    assert traced.spec.plan
    plan = traced.spec.plan.model_copy(update={"probes": None, "destinations": 50})
    spec = traced.spec.model_copy(update={"plan": plan})
    rounds = {("agent", "agent1"): [traced.model_copy(update={"spec": spec})]}
    assert tell(replace(EMPTY, rounds=rounds)) == {
        ("anabranch_rounds", "probing"): 1,
        ("anabranch_rounds_planned_destinations",): 50,
        ("anabranch_rounds_traced_destinations",): 30,
    }


def test_who_tells_nothing_new_is_silent() -> None:
    """Since it was seen first, until it tells something; whoever is gone does not."""
    now = [100.0]
    progress = Progress(lambda: now[0])
    seen = start()
    status = describe("Probing", Ready=True)
    before, after = (
        make_round(seen, "agent1", FIRST, status | {"probesSent": sent})
        for sent in (1, 2)
    )
    other = make_round(seen, "agent2", FIRST, status)
    ages = []
    for step, rounds in ((0, [before]), (30, [before, other]), (20, [after, other])):
        now[0] += step
        ages.append(progress.find_oldest(rounds))
    assert ages == [0, 30, 20]
    assert progress.find_oldest([]) == 0
    assert progress.find_oldest([other]) == 0


def test_jobs_and_the_policy_are_counted() -> None:
    """Jobs by what they are for; whether the policy counts, and stops all."""
    jobs = [
        replace(make_job(name, fails=fails), labels={COMPONENT: "step-job"})
        for name, fails in (("good", ""), ("bad", "out of memory"))
    ]
    spec = {"contact": "me@example.org", "stop": True}
    policy = read_kind(ProbingPolicy, POLICY_NAME, spec)
    inventory = replace(
        EMPTY,
        jobs={("", "uid"): jobs},
        policies={(EMPTY.system, POLICY_NAME): [policy]},
    )
    assert tell(inventory) == {
        ("anabranch_jobs", "step-job", "complete"): 1,
        ("anabranch_jobs", "step-job", "failed"): 1,
        ("anabranch_policy_present",): 1,
        ("anabranch_policy_stopped",): 1,
    }


def test_the_reasons_are_those_of_the_page() -> None:
    """One that is not known here would be told as another one."""
    _, _, text = PAGE.read_text().partition("| reason | what to do |")
    table, _, text = text.partition("\nOf an Agent: ")
    cells = [line.split("|")[1] for line in table.splitlines()[2:] if line]
    told = {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}
    assert told == GOOD | set(HINDRANCES)
    of_agents, _ = re.split(r"Of\sa\sTargetList:", text)
    told = set(re.findall(r"`([A-Z]\w+)`", of_agents))
    # Agents of another namespace are not counted.
    known = {reason for reasons in AGENT_REASONS.values() for reason in reasons}
    assert told - {"WrongNamespace"} == known
