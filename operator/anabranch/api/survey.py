"""`Survey`: a measurement that is repeated by a schedule, or without a pause."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.measurement import Measurement
from anabranch.api.measurementspec import MeasurementSpec, RepeatableSpec
from anabranch.api.model import Model, Rule
from anabranch.api.resource import (
    AGE,
    GROUP,
    Column,
    ObjectMeta,
    Resource,
    condition_column,
)
from anabranch.api.surveystatus import SurveyStatus
from anabranch.api.text import CronSchedule, LabelValue, Seconds, TimeZone

MAX_NAME = 40
"""The longest name in characters: Measurements append the number of a cycle."""
FIRST_CYCLE = 1
_MAX_LIMIT = 10_000
_MAX_AGE = 315_360_000
"""Ten years, in seconds."""
_KEY = (
    "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
"""The keys of labels and annotations."""
_OWN = f"{GROUP}/"
_LONGEST_KEY = 317


def _is_free_key(key: str) -> bool:
    is_own = key.startswith(_OWN)
    return len(key) <= _LONGEST_KEY and not is_own and bool(re.match(_KEY, key))


def _key_rule(field: str) -> Rule:
    return Rule(
        lambda metadata: all(map(_is_free_key, getattr(metadata, field))),
        f"!has(self.{field}) || self.{field}.all(k, size(k) <= {_LONGEST_KEY} && "
        f"!k.startsWith('{_OWN}') && k.matches('{_KEY}'))",
        f"the keys of {field} must be those of Kubernetes, and none of {GROUP}'s own",
    )


class TemplateMetadata(Model):
    """What each Measurement bears besides the labels that the operator sets."""

    rules = (_key_rule("labels"), _key_rule("annotations"))

    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] = {}
    """Labels of each Measurement."""
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)
    ] = {}
    """Annotations of each Measurement."""


class MeasurementTemplate(Model):
    """What the Measurement of each cycle looks like."""

    rules = (
        Rule(
            lambda template: not template.spec.is_standing,
            "!self.spec.agents.exists(a, has(a.connections))",
            "a cycle ends, and a measurement of connections does not; give targetList, "
            "or make a Measurement instead of a Survey",
        ),
    )

    metadata: TemplateMetadata = TemplateMetadata()
    """Labels and annotations of each Measurement."""
    spec: RepeatableSpec
    """The spec of each Measurement. A change takes effect with the next cycle."""


class Retention(Model):
    """Which cycles' objects stay in the store; those of an unfinished cycle always."""

    rules = (
        Rule(
            lambda kept: (
                kept.max_cycles is not None or kept.max_age_seconds is not None
            ),
            "has(self.maxCycles) || has(self.maxAgeSeconds)",
            "retention needs maxCycles or maxAgeSeconds; without it, all is kept",
        ),
    )

    max_cycles: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """The number of finished cycles to keep; the oldest are removed."""
    max_age_seconds: Annotated[int | None, Field(ge=1, le=_MAX_AGE)] = None
    """How long a cycle is kept after its end, in seconds."""


class SurveySpec(Model):
    """What to measure again and again, and when."""

    rules = (
        Rule(
            lambda spec: (spec.schedule is not None) != spec.continuous,
            "has(self.schedule) != self.continuous",
            "give exactly one of schedule and continuous",
        ),
        Rule(
            lambda spec: (
                not spec.continuous
                or (spec.time_zone is None and spec.starting_deadline_seconds is None)
            ),
            "!self.continuous || "
            "(!has(self.timeZone) && !has(self.startingDeadlineSeconds))",
            "timeZone and startingDeadlineSeconds are of a schedule; remove them where "
            "the survey is continuous",
        ),
    )

    schedule: CronSchedule | None = None
    """When cycles start, as in a CronJob: minute, hour, day of the month, month and day
    of the week, or a word such as `@daily`."""
    time_zone: TimeZone | None = None
    """The time zone of the schedule, such as Europe/Paris; UTC by default."""
    continuous: bool = False
    """Starts the next cycle when the last one ends, instead of by a schedule."""
    starting_deadline_seconds: Seconds | None = None
    """How late a cycle may start; after that, it is missed. By default, the latest
    missed cycle starts however late it is."""
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    """What happens if the last cycle still runs when the next one is due: both run, or
    the next one waits, or it replaces the last one."""
    suspend: bool = False
    """Starts no more cycles while true. A cycle that runs goes on."""
    successful_history_limit: Annotated[int, Field(ge=0, le=_MAX_LIMIT)] = 3
    """How many Measurements of cycles that succeeded are kept. The store keeps what
    they found."""
    failed_history_limit: Annotated[int, Field(ge=0, le=_MAX_LIMIT)] = 1
    """How many Measurements of cycles that failed are kept."""
    measurement_template: MeasurementTemplate
    """The Measurement of each cycle."""
    retention: Retention | None = None
    """Which cycles' objects stay in the store; by default, all of them."""


class Survey(Resource):
    """A measurement that is repeated: each cycle is a Measurement of its own."""

    rules = (
        Rule(
            lambda survey: len(survey.metadata.name) <= MAX_NAME,
            f"size(self.metadata.name) <= {MAX_NAME}",
            f"a Survey's name must have at most {MAX_NAME} characters: Measurements "
            "are named after it",
        ),
    )

    plural = "surveys"
    short_names = ("svy",)
    columns = (
        condition_column("Ready"),
        Column("Schedule", ".spec.schedule"),
        Column("Cycle", ".status.cycle", "integer"),
        Column("Active", ".status.activeCount", "integer"),
        Column("Last", ".status.lastScheduleTime", "date"),
        condition_column("Ready", field="reason", name="Reason"),
        AGE,
        Column("Next", ".status.nextScheduleTime", wide=True),
        Column("ExpectedEnd", ".status.expectedEndTime", wide=True),
        Column("TimeZone", ".spec.timeZone", wide=True),
        Column("Suspended", ".spec.suspend", "boolean", wide=True),
    )

    spec: SurveySpec
    """What to measure again and again, and when."""
    status: SurveyStatus = SurveyStatus()
    """The cycles so far; written by the operator."""

    def name_cycle(self, number: int) -> str:
        """Return the name of a cycle's Measurement."""
        return f"{self.metadata.name}-{number:06}"  # find_cycle_number reads it

    def make_measurement(self, number: int) -> Measurement:
        """Return the Measurement of a cycle, without what only the operator sets."""
        template = self.spec.measurement_template
        return Measurement(
            api_version=self.api_version,
            kind=Measurement.__name__,
            metadata=ObjectMeta(
                name=self.name_cycle(number),
                namespace=self.metadata.namespace,
                labels=template.metadata.labels,
                annotations=template.metadata.annotations,
            ),
            spec=MeasurementSpec(**dict(template.spec)),
        )


def find_cycle_number(measurement: str) -> int | None:
    """Return the number of the cycle that a Measurement's name tells, if it tells one.

    See ``Survey.name_cycle``.
    """
    found = re.search(r"-(\d{6,9})$", measurement)
    return int(found[1]) if found else None
