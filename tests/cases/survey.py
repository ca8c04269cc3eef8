"""Surveys, accepted and refused."""

from __future__ import annotations

from typing import Any

from cases.case import REMOVED, Case, Manifest, spec

ONE_OF_TWO = "give exactly one of schedule and continuous"


def template(**change: Any) -> Manifest:
    """A change of the spec of each Measurement."""
    return spec(measurementTemplate={"spec": change})


def metadata(**change: Any) -> Manifest:
    """A change of the metadata of each Measurement."""
    return spec(measurementTemplate={"metadata": change})


CASES: list[Case] = [
    Case("Survey", "the least survey", {}),
    Case("Survey", "a name of 40", {"metadata": {"name": "a" * 40}}),
    Case(
        "Survey",
        "a name of 41",
        {"metadata": {"name": "a" * 41}},
        "",
        "a Survey's name must have at most 40 characters",
    ),
    *(
        Case("Survey", f"schedule {text!r}", spec(schedule=text))
        for text in (
            "30 3 * * MON",
            "*/15 0-6,20 1,15 * *",
            "5/20 2 * jan-mar mon-fri",
            "0  0 1 1 0",
            "@hourly",
            "@annually",
            "59 23 31 12 6",
        )
    ),
    *(
        Case("Survey", f"schedule {text!r}", spec(schedule=text), "spec.schedule")
        for text in (
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "@every 1h",
            "@reboot",
            "TZ=UTC 0 0 * * *",
            "0 0 L * *",
            "0 0 * * 1#2",
            "daily",
        )
    ),
    Case("Survey", "a time zone", spec(timeZone="America/Argentina/Buenos_Aires")),
    Case("Survey", "a zone of a file", spec(timeZone="../etc"), "spec.timeZone"),
    Case("Survey", "no time zone at all", spec(timeZone=""), "spec.timeZone"),
    Case("Survey", "continuous", spec(schedule=REMOVED, continuous=True)),
    Case("Survey", "never", spec(schedule=REMOVED), "spec", ONE_OF_TWO),
    Case("Survey", "both", spec(continuous=True), "spec", ONE_OF_TWO),
    Case(
        "Survey",
        "a deadline without a schedule",
        spec(schedule=REMOVED, continuous=True, startingDeadlineSeconds=60),
        "spec",
        "timeZone and startingDeadlineSeconds are of a schedule",
    ),
    Case(
        "Survey",
        "a time zone without a schedule",
        spec(schedule=REMOVED, continuous=True, timeZone="Europe/Paris"),
        "spec",
        "timeZone and startingDeadlineSeconds are of a schedule",
    ),
    Case("Survey", "a deadline", spec(startingDeadlineSeconds=1)),
    Case(
        "Survey",
        "no time to start",
        spec(startingDeadlineSeconds=0),
        "spec.startingDeadlineSeconds",
    ),
    *(
        Case("Survey", f"policy {word}", spec(concurrencyPolicy=word))
        for word in ("Allow", "Forbid", "Replace")
    ),
    Case(
        "Survey",
        "another policy",
        spec(concurrencyPolicy="Queue"),
        "spec.concurrencyPolicy",
    ),
    Case(
        "Survey",
        "no history",
        spec(successfulHistoryLimit=0, failedHistoryLimit=0),
    ),
    Case(
        "Survey",
        "less than no history",
        spec(failedHistoryLimit=-1),
        "spec.failedHistoryLimit",
    ),
    Case("Survey", "retention by number", spec(retention={"maxCycles": 1})),
    Case("Survey", "retention by age", spec(retention={"maxAgeSeconds": 86_400})),
    Case(
        "Survey",
        "retention of nothing",
        spec(retention={"maxCycles": 0}),
        "spec.retention.maxCycles",
    ),
    Case(
        "Survey",
        "retention that says nothing",
        spec(retention={}),
        "spec.retention",
        "retention needs maxCycles or maxAgeSeconds",
    ),
    # The template
    Case(
        "Survey",
        "no template",
        spec(measurementTemplate=REMOVED),
        "spec.measurementTemplate",
    ),
    Case(
        "Survey",
        "two tools",
        template(yarrp={}),
        "spec.measurementTemplate.spec",
        "give exactly one tool",
    ),
    Case(
        "Survey",
        "a prefix length that does not fit",
        template(ping=REMOVED, yarrp={"prefixLenV4": 25}),
        "spec.measurementTemplate.spec.yarrp.prefixLenV4",
    ),
    Case(
        "Survey",
        "labels and annotations",
        metadata(
            labels={"team": "a", "example.org/site": "b"},
            annotations={"example.org/note": "each night"},
        ),
    ),
    *(
        Case(
            "Survey",
            f"a {field[:-1]} {key[:20]!r}",
            metadata(**{field: {key: "a"}}),
            "spec.measurementTemplate.metadata",
            f"the keys of {field} must be those of Kubernetes",
        )
        for field in ("labels", "annotations")
        for key in ("anabranch.dev/cycle", "a b", "-", "a" * 64, "/a", "a/")
    ),
    Case(
        "Survey",
        "the value of a label",
        metadata(labels={"team": "a b"}),
        "spec.measurementTemplate.metadata.labels.team",
    ),
]
