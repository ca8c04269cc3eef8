"""Argo CD, Flux and kstatus agree on all that is said of objects."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.states import State, list_states
from gitops.verdicts import Verdict, judge, read_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_KSTATUS = {
    "Healthy": "Current",
    "Progressing": "InProgress",
    "Suspended": "InProgress",
    "Degraded": "Failed",
}
"""What an object of a health is to kstatus, which knows nothing of suspension."""
HEALTH = {
    "Measurement": {
        "Healthy": (
            "Started Running Gathering Completed PartlyComplete DryRun Serving"
        ),
        "Suspended": "Suspended NotYet",
        "Progressing": (
            "NoPolicy ProbingStopped AgentMissing AgentNotAllowed WaitingForAgents "
            "TargetListMissing TargetListNotReady AgentsUnavailable Counting "
            "EventSocketMissing Starting QuotaExceeded SubjectMissing "
            "SubjectNotComplete"
        ),
        "Degraded": (
            "PolicyLimit AgentTwice TeamNameTaken TeamImpossible AgentsFailed "
            "ResultsFailed DeadlineExceeded StartDeadlineExceeded NoTargets RunIdUsed "
            "NameTaken Refused SubjectUnusable"
        ),
    },
    "Survey": {
        "Healthy": "Running Scheduled",
        "Suspended": "Suspended",
        "Degraded": "InvalidSchedule NameTaken MeasurementRefused",
    },
    "Agent": {
        "Healthy": "PodReady Draining",
        "Progressing": (
            "PodNotReady PodEnded PodMissing PodEnding Replacing Uninstalled "
            "StoreRefuses"
        ),
        "Degraded": "PodForbidden NodeTaken NameTaken WrongNamespace",
    },
    "TargetList": {
        "Healthy": "Checked",
        "Progressing": (
            "Checking ConfigMapMissing KeyMissing ObjectMissing CheckFailed"
        ),
        "Degraded": "BadLines ListUnusable WrongSource NameTaken",
    },
    "ProbingPolicy": {"Healthy": "Obeyed", "Degraded": "WrongNamespace"},
    "Round": {
        "Healthy": "Complete Serving",
        "Progressing": "Probing Pending PolicyStop",
        "Suspended": "Suspended",
        "Degraded": "PlanUnusable",
    },
}
"""The health of each kind by the reason of Ready."""
EXPECTED = {
    (kind, reason): health
    for kind, healths in HEALTH.items()
    for health, reasons in healths.items()
    for reason in reasons.split()
}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], State]:
    """All states, by kind and reason."""
    found = list_states(tmp_path_factory.mktemp("store"))
    by_reason = {(state.kind, state.reason): state for state in found}
    assert len(by_reason) == len(found), "a reason appears twice"
    return by_reason


@pytest.fixture(scope="module")
def verdicts(
    states: dict[tuple[str, str], State],
) -> dict[tuple[str, str], Verdict]:
    """What each says of them."""
    found = judge([state.manifest for state in states.values()])
    return dict(zip(states, found, strict=True))


def find_documented() -> Iterator[tuple[str, str]]:
    """The reasons that docs/operator.md names."""
    text = (_ROOT / "docs" / "operator.md").read_text()
    table = re.search(r"\| reason \|.*?\n\n", text, re.DOTALL)
    agents = re.search(r"Of an Agent: (.*?) Of a TargetList:(.*?)\n\n", text, re.DOTALL)
    assert table
    assert agents
    rows = " ".join(re.findall(r"^\| (.*?) \|", table[0], re.MULTILINE))
    for kind, words in zip(
        ("Measurement", "Agent", "TargetList"), (rows, *agents.groups()), strict=True
    ):
        for reason in re.findall(r"`([A-Z]\w+)`", words):
            yield kind, reason


def test_all_that_is_said_is_judged(states: dict[tuple[str, str], State]) -> None:
    """Each reason of the documentation, and each of the table here."""
    assert states.keys() == EXPECTED.keys()
    assert set(find_documented()) <= states.keys()


@pytest.mark.parametrize(("kind", "reason"), EXPECTED)
def test_all_agree(
    kind: str,
    reason: str,
    states: dict[tuple[str, str], State],
    verdicts: dict[tuple[str, str], Verdict],
) -> None:
    """Argo CD tells the message, and Flux waits for nothing that is suspended."""
    health, verdict = EXPECTED[kind, reason], verdicts[kind, reason]
    assert verdict.argo == health
    assert verdict.argo_message == states[kind, reason].message
    assert verdict.kstatus == _KSTATUS[health]
    is_idle = kind in {"Measurement", "Survey"} and health == "Suspended"
    assert verdict.flux == ("Current" if is_idle else verdict.kstatus)


def test_what_is_said_of_another_spec_does_not_count(
    states: dict[tuple[str, str], State],
) -> None:
    """Neither that it is well nor that it has failed."""
    changed = [replace(state, generation=2) for state in states.values()]
    for verdict in judge([state.manifest for state in changed]):
        assert (verdict.kstatus, verdict.flux) == ("InProgress", "InProgress")
        assert verdict.argo == "Progressing"


def test_what_nobody_has_looked_at_is_in_progress() -> None:
    """Of a kind's default status, which the API server adds."""
    objects = [
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "new", "generation": 1},
            "status": {"observedGeneration": -1},
        }
        for kind in HEALTH
    ]
    for verdict in judge(objects):
        assert (verdict.kstatus, verdict.flux) == ("InProgress", "InProgress")
        assert verdict.argo == "Progressing"


def test_each_kind_has_a_script() -> None:
    """Argo CD takes objects of others for healthy once they are there."""
    assert read_scripts().keys() == HEALTH.keys()
