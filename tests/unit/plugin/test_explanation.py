"""Why something does not go on, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement, ProbingPolicy, Survey
from anabranch.control.census import AGENT_REASONS, HINDRANCES
from anabranch.plugin.explanation import explain, explain_policy
from anabranch.plugin.progress import Pace, follow_agents
from anabranch.plugin.remedies import REMEDIES, ROUTINE
from anabranch.reconcile.decision import decide
from anabranch_agent.metrics import HOLDS
from gitops.states import list_states
from observations import BUCKET, go_on, read_kind, see, start
from toldrounds import make_told

if TYPE_CHECKING:
    from anabranch.reconcile.observation import Observation

DOCS = Path(__file__).parents[3] / "docs"
EXPLAINED = {"Measurement", "Survey", "Agent", "Round"}


def list_reasons(page: str, head: str) -> set[str]:
    """The reasons in the first column of a page's table."""
    table = (DOCS / page).read_text().partition(head)[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    return {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}


def read_measurement(seen: Observation) -> Measurement:
    """The Measurement as the operator leaves it."""
    return go_on(seen, decide(seen, BUCKET)).measurement


def test_each_reason_has_a_remedy_or_needs_none(tmp_path: Path) -> None:
    """Those that are ever said, that metrics count, and that the pages list."""
    agents = {reason for group in AGENT_REASONS.values() for reason in group}
    said = {each.reason for each in list_states(tmp_path) if each.kind in EXPLAINED}
    listed = list_reasons("operator.md", "| reason | what to do |")
    listed |= list_reasons("surveys.md", "| reason of `Ready` |")
    assert {"NoPolicy", "MeasurementRefused"} <= listed
    reasons = {*HINDRANCES, *HOLDS} | agents | said | listed
    assert sorted(reasons - REMEDIES.keys() - ROUTINE) == []
    assert not REMEDIES.keys() & ROUTINE


def test_a_run_that_goes_on_is_running() -> None:
    """Nothing is wrong with it."""
    found = explain(read_measurement(start()))
    assert (found.state, found.troubles) == ("running", ())


def test_what_the_operator_has_not_seen_is_unseen() -> None:
    """A changed spec, too: what was said of the one before does not count."""
    measurement = read_measurement(see())
    metadata = measurement.metadata.model_copy(update={"generation": 2})
    found = explain(measurement.model_copy(update={"metadata": metadata}))
    assert found.state == "unseen"
    assert "kubectl anabranch status" in found.message


def test_a_stuck_run_says_who_must_do_what() -> None:
    """Of a policy, an admin; of agents that are waited for, each that is not ready."""
    (trouble,) = explain(read_measurement(replace(see(), policy=None))).troubles
    assert trouble.reason == "NoPolicy"
    assert trouble.remedy
    assert "admin" in trouble.remedy
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "PodForbidden",
        "message": "the namespace is not privileged",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    }
    status = {"observedGeneration": 1, "conditions": [condition]}
    agent = read_kind(Agent, "york", {"nodeName": "n9"}, status=status)
    found = explain(read_measurement(see(count=1, minAgents=2)), agents=[agent])
    waiting, york = found.troubles
    assert (found.state, waiting.reason) == ("waiting", "WaitingForAgents")
    assert (york.what, york.reason) == ("york", "PodForbidden")
    assert york.remedy
    assert "label the system namespace" in york.remedy


def test_an_agent_that_is_held_says_why() -> None:
    """The run itself goes on."""
    held = follow_agents([make_told(reason="StoreUnavailable")], Pace())
    found = explain(read_measurement(start()), held)
    assert found.state == "running"
    (trouble,) = found.troubles
    assert (trouble.what, trouble.reason) == ("paris", "StoreUnavailable")
    assert trouble.remedy
    assert "research" not in trouble.remedy


def test_a_suspended_survey_says_how_it_resumes() -> None:
    """By its name."""
    template = {"spec": {"ping": {}, "agents": [{"name": "a", "targetList": "l"}]}}
    condition = {
        "type": "Suspended",
        "status": "True",
        "reason": "Suspended",
        "message": "suspend is true",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    }
    ready = condition | {"type": "Ready", "status": "False"}
    survey = read_kind(
        Survey,
        "daily",
        {"schedule": "@daily", "suspend": True, "measurementTemplate": template},
        status={"observedGeneration": 1, "conditions": [condition, ready]},
    )
    found = explain(survey)
    assert found.state == "suspended"
    assert found.troubles[0].remedy
    assert "kubectl anabranch resume daily" in found.troubles[0].remedy


def test_a_policy_may_let_nothing_be_sent() -> None:
    """If there is none, if it says stop, or if its allow list is empty."""

    def explained(**spec: object) -> str | None:
        body = {"contact": "a@example.org", **spec}
        found = explain_policy(read_kind(ProbingPolicy, "default", body))
        return found.reason if found else None

    none = explain_policy(None)
    assert none
    assert none.reason == "NoPolicy"
    assert explained(stop=True) == "ProbingStopped"
    assert explained(allow=[]) == "NothingAllowed"
    assert explained() is None
