"""Each alert is raised by what it is for, and by nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from devcluster.binaries import PROMTOOL, build
from devcluster.process import run_tool
from exposition import find_selectors, list_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "anabranch" / "files" / "rules.yaml"
RUNBOOK = ROOT / "docs" / "runbook.md"
SYSTEM = {"namespace": "anabranch-system"}
PARIS = SYSTEM | {"pod": "anabranch-agent-paris"}
HEALTH = {
    'anabranch_operator_build_info{SYSTEM, version="1"}': "1x200",
    "anabranch_operator_leading{SYSTEM}": "1x200",
    "anabranch_operator_queue_lag_seconds{SYSTEM}": "0 1 20 3 0x196",
    'anabranch_operator_failing_objects{SYSTEM, kind="Measurement"}': "0 2 1 0x197",
    "anabranch_policy_present{SYSTEM}": "1x200",
    "anabranch_policy_stopped{SYSTEM}": "0x200",
    'anabranch_measurements{SYSTEM, state="failed"}': "2x200",
    'anabranch_measurements{SYSTEM, state="stalled"}': "0x200",
    "anabranch_surveys_failing{SYSTEM}": "1x3 0x196",
    "anabranch_rounds_silent_seconds{SYSTEM}": "0 10 200 5 0x196",
    'anabranch_agents{SYSTEM, state="ready", reason="PodReady"}': "3x200",
    'anabranch_agents{SYSTEM, state="unready", reason="PodNotReady"}': "1x8 0x191",
    'anabranch_agents{SYSTEM, state="unready", reason="Replacing"}': "1x200",
    'anabranch_agent_held_rounds{PARIS, reason="LeaseLost"}': "1 0x199",
    'anabranch_agent_held_rounds{PARIS, reason="ProbingError"}': "1 1 0x198",
    'anabranch_agent_held_rounds{PARIS, reason="Suspended"}': "2x200",
    'anabranch_agent_held_rounds{PARIS, reason="EventsUnavailable"}': "0 1 1 0x197",
    'anabranch_agent_connections_total{PARIS, outcome="queue full"}': "0 5x199",
    'anabranch_agent_connections_total{PARIS, outcome="excluded"}': "0+9x200",
    "anabranch_agent_standing_rounds{PARIS}": "0x200",
    "anabranch_agent_probing_rate{PARIS}": "100x60 0x10 100x128",
    "anabranch_agent_probes_sent_total{PARIS}": "0+5900x60 354000x10 354000+5900x128",
    "anabranch_agent_replies_total{PARIS}": "0+5000x60 300000x10 300000+5000x128",
    "anabranch_agent_dropped_total{PARIS}": "0+5x60 300x10 300+5x128",
    'anabranch_agent_invalid_total{PARIS, reason="late"}': "0+9x60 540x10 540+9x128",
    'anabranch_agent_invalid_total{PARIS, reason="forged"}': "0+9x60 540x10 540+9x128",
    'anabranch_agent_store_errors_total{PARIS, call="part"}': "0 1 3 3x197",
    "anabranch_agent_parts_waiting_bytes{PARIS}": "1e6x200",
    "anabranch_agent_parts_waiting_limit_bytes{PARIS}": "1e9x200",
}
"""Series of three hours in which all is well, minute by minute."""


@dataclass(frozen=True)
class Case:
    """What raises an alert, and how."""

    alert: str
    changes: Mapping[str, str | None]
    """Series that are otherwise than in health; None if there is none."""
    after: str
    """When it is raised; not a minute before."""
    says: str
    labels: Mapping[str, str] = field(default_factory=lambda: SYSTEM)


CASES = (
    Case(
        "AnabranchOperatorAbsent",
        {'anabranch_operator_build_info{SYSTEM, version="1"}': "1x3 stale"},
        "9m",
        "Prometheus has not reached an operator for 5 minutes. Nothing new starts, and "
        "rounds that are through are not followed by others.",
        {},
    ),
    Case(
        "AnabranchNoLeader",
        {"anabranch_operator_leading{SYSTEM}": "1x3 0x20"},
        "6m",
        "There is an operator in anabranch-system, but it has waited for 2 minutes to "
        "lead.",
    ),
    Case(
        "AnabranchQueueLag",
        {"anabranch_operator_queue_lag_seconds{SYSTEM}": "0x3 61+60x20"},
        "6m",
        "Something in anabranch-system has been due for 3m 1s and was not looked at.",
    ),
    Case(
        "AnabranchReconcileFailures",
        {'anabranch_operator_failing_objects{SYSTEM, kind="Measurement"}': "0 2x30"},
        "16m",
        "For 15 minutes looks at objects of kind Measurement have ended with errors; "
        "now at 2 of them.",
        SYSTEM | {"kind": "Measurement"},
    ),
    Case(
        "AnabranchPolicyMissing",
        {"anabranch_policy_present{SYSTEM}": "1x3 0x20"},
        "9m",
        'Namespace anabranch-system has no ProbingPolicy "default", and without one no '
        "agent sends anything.",
    ),
    Case(
        "AnabranchProbingStopped",
        {"anabranch_policy_stopped{SYSTEM}": "0x3 1x20"},
        "19m",
        "Somebody set stop in the ProbingPolicy of anabranch-system, and it still is.",
    ),
    Case(
        "AnabranchMeasurementFailed",
        {'anabranch_measurements{SYSTEM, state="failed"}': "2x9 3x90"},
        "10m",
        "Within the last hour a Measurement has failed; 3 are failed now.",
    ),
    Case(
        "AnabranchMeasurementStalled",
        {'anabranch_measurements{SYSTEM, state="stalled"}': "0x3 1x30"},
        "14m",
        "1 Measurements wait for somebody to change something.",
    ),
    Case(
        "AnabranchSurveyFailing",
        {"anabranch_surveys_failing{SYSTEM}": "0x3 2x20"},
        "9m",
        "The latest cycle that ended has failed, of 2 Surveys.",
    ),
    Case(
        "AnabranchRoundSilent",
        {"anabranch_rounds_silent_seconds{SYSTEM}": "0+60x200"},
        "16m",
        "A Round that is to be probed has told nothing new for 16m 0s.",
    ),
    Case(
        "AnabranchAgentNotReady",
        {'anabranch_agents{SYSTEM, state="unready", reason="PodNotReady"}': "1x30"},
        "15m",
        "For 15 minutes Agents of anabranch-system have not been ready, now 1 of them, "
        "with the reason PodNotReady.",
        SYSTEM | {"reason": "PodNotReady"},
    ),
    Case(
        "AnabranchAgentSilent",
        {'anabranch_agent_held_rounds{PARIS, reason="LeaseLost"}': "0x3 2x30"},
        "6m",
        "anabranch-agent-paris has 2 Rounds to probe, and could not renew its Lease or "
        "hear of the policy for too long: so it sends nothing.",
        PARIS,
    ),
    Case(
        "AnabranchProbingError",
        {'anabranch_agent_held_rounds{PARIS, reason="ProbingError"}': "0x3 1x30"},
        "9m",
        "The kernel does not let anabranch-agent-paris probe 1 Rounds.",
        PARIS,
    ),
    Case(
        "AnabranchEventsUnavailable",
        {
            'anabranch_agent_held_rounds{PARIS, reason="EventsUnavailable"}': (
                "0x3 1x30"
            )
        },
        "9m",
        "anabranch-agent-paris has 1 Rounds of connections, and hears of none, or "
        "can't keep those that it hears of.",
        PARIS,
    ),
    Case(
        "AnabranchConnectionsDropped",
        {'anabranch_agent_connections_total{PARIS, outcome="queue full"}': ("0+4x60")},
        "16m",
        "In 15 minutes anabranch-agent-paris has dropped 60 connections that waited "
        "for a trace.",
        PARIS,
    ),
    Case(
        "AnabranchProbingSlow",
        {
            "anabranch_agent_probing_rate{PARIS}": "1000x60",
            "anabranch_agent_probes_sent_total{PARIS}": "0+6000x60",
        },
        "11m",
        "anabranch-agent-paris sends 100 probes a second, less than half of what it "
        "may.",
        PARIS,
    ),
    Case(
        "AnabranchKernelDrops",
        {"anabranch_agent_dropped_total{PARIS}": "0+1200x60"},
        "6m",
        "The kernel drops 20 packets a second before anabranch-agent-paris has read "
        "them, more than 1 % of its replies.",
        PARIS,
    ),
    Case(
        "AnabranchInvalidReplies",
        {'anabranch_agent_invalid_total{PARIS, reason="forged"}': "0+5991x60"},
        "11m",
        "anabranch-agent-paris hears 100 replies a second that answer to nothing it "
        "asked, more than 5 % of those that do.",
        PARIS,
    ),
    Case(
        "AnabranchStoreAway",
        {'anabranch_agent_store_errors_total{PARIS, call="part"}': "0+2x60"},
        "6m",
        "Of the calls that anabranch-agent-paris makes of the store, 6 failed within "
        "3 minutes, and others before.",
        PARIS,
    ),
    Case(
        "AnabranchPartsWaiting",
        {"anabranch_agent_parts_waiting_bytes{PARIS}": "0x3 536870912x20"},
        "6m",
        "512MiB of replies wait on anabranch-agent-paris for the store, more than half "
        "of what may.",
        PARIS,
    ),
)


def read_rules() -> dict[str, dict[str, Any]]:
    """The alerts, by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    alerts = {rule["alert"]: rule for rule in rules}
    assert len(alerts) == len(rules)
    return alerts


def write_test(
    changes: Mapping[str, str | None], checks: list[dict[str, Any]]
) -> dict[str, Any]:
    """A test for promtool: series, and what is to come of them."""
    given: dict[str, str | None] = {**HEALTH, **changes}
    return {
        "interval": "1m",
        "input_series": [
            {"series": _spell(series), "values": values}
            for series, values in given.items()
            if values is not None
        ],
        "alert_rule_test": checks,
    }


def _spell(series: str) -> str:
    for word, labels in (("SYSTEM", SYSTEM), ("PARIS", PARIS)):
        text = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        series = series.replace(word, text)
    return series


def run_promtool(tmp_path: Path, *tests: dict[str, Any]) -> None:
    """Has promtool run tests of the rules.

    Raises:
        RuntimeError: With what came instead.
    """
    file = tmp_path / "test.yaml"
    content = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": list(tests),
    }
    file.write_text(yaml.safe_dump(content))
    run_tool(build(PROMTOOL), "test", "rules", file)


def test_promtool_takes_the_rules() -> None:
    """They are valid, and none of them is there twice."""
    said = run_tool(build(PROMTOOL), "check", "rules", "--lint-fatal", RULES)
    assert f"{len(read_rules())} rules found" in said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_is_raised_in_time(tmp_path: Path, case: Case) -> None:
    """With the words that somebody gets, and not a minute too early."""
    rule = read_rules()[case.alert]
    minutes = int(case.after.removesuffix("m"))
    raised = {
        "exp_labels": dict(case.labels) | rule["labels"],
        "exp_annotations": rule["annotations"] | {"description": case.says},
    }
    checks = [
        {"alertname": case.alert, "eval_time": f"{time}m", "exp_alerts": alerts}
        for time, alerts in ((minutes - 1, []), (minutes, [raised]))
    ]
    run_promtool(tmp_path, write_test(case.changes, checks))


def test_in_health_there_is_no_alert(tmp_path: Path) -> None:
    """Neither by what passes by itself, nor by what was so before."""
    checks = [
        {"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": []}
        for alert in read_rules()
        for minutes in range(0, 180, 3)
    ]
    run_promtool(tmp_path, write_test({}, checks))


def test_a_store_that_came_back_is_no_alert(tmp_path: Path) -> None:
    """However often it was asked in the minute that it was away."""
    series = 'anabranch_agent_store_errors_total{PARIS, call="part"}'
    checks: list[dict[str, Any]] = [
        {"alertname": "AnabranchStoreAway", "eval_time": f"{m}m", "exp_alerts": []}
        for m in range(60)
    ]
    run_promtool(tmp_path, write_test({series: "0x9 40x60"}, checks))


def test_a_failure_is_told_for_an_hour(tmp_path: Path) -> None:
    """And not again when another operator takes over."""
    failed = 'anabranch_measurements{SYSTEM, state="failed", pod="%s"}'
    changes = {
        'anabranch_measurements{SYSTEM, state="failed"}': None,
        failed % "a": "2x9 3x90 stale",
        failed % "b": "_x110 3x60",
    }
    checks: list[dict[str, Any]] = [
        {"alertname": "AnabranchMeasurementFailed", "eval_time": time, "exp_alerts": []}
        for time in ("9m", "75m", "115m", "160m")
    ]
    run_promtool(tmp_path, write_test(changes, checks))


def test_every_alert_is_tested_and_explained() -> None:
    """Each has a case here, a severity, and a section in the runbook."""
    alerts = read_rules()
    assert sorted(alerts) == sorted(case.alert for case in CASES)
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sections == list(alerts)
    for name, rule in alerts.items():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        anchor = f"docs/runbook.md#{name.lower()}"
        assert rule["annotations"]["runbook_url"] == anchor
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


def test_alerts_ask_for_what_is_told() -> None:
    """By name and by labels: of a series that nobody gives, no alert would come."""
    samples = list_samples()
    for name, rule in read_rules().items():
        selectors = list(find_selectors(rule["expr"]))
        assert selectors, name
        for selector in selectors:
            found = (selector.selects(each.name, each.labels) for each in samples)
            assert any(found), (name, selector)
