"""`Measurement`: a survey, from its first round to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api.measurementspec import MeasurementAgent, MeasurementSpec
from anabranch.api.measurementstatus import MeasurementStatus
from anabranch.api.model import Rule, Transition
from anabranch.api.resource import (
    AGE,
    Column,
    Resource,
    condition_column,
)

if TYPE_CHECKING:
    from anabranch.api.model import Model

MAX_NAME = 48
"""The longest name in characters: names of Rounds and Jobs append round and agent."""


MUTABLE = (
    "suspend",
    "start_deadline_seconds",
    "active_deadline_seconds",
    "ttl_seconds_after_finished",
)
"""Fields of the spec that may change while a run is on."""


def _camel(model: type[Model], *, without: tuple[str, ...]) -> list[str]:
    fields = model.model_fields.items()
    return [str(field.alias) for name, field in fields if name not in without]


def _spec_is_kept(old: Measurement, new: Measurement) -> bool:
    started = old.status.start_time is not None and old.status.run_id == old.spec.run_id
    if not started or new.spec.run_id != old.spec.run_id:
        return True
    free: dict[str, object] = dict.fromkeys((*MUTABLE, "agents"))
    if old.spec.model_copy(update=free) != new.spec.model_copy(update=free):
        return False
    pairs = zip(old.spec.agents, new.spec.agents, strict=False)
    return len(old.spec.agents) == len(new.spec.agents) and all(
        _agent_is_kept(before, after) for before, after in pairs
    )


def _agent_is_kept(old: MeasurementAgent, new: MeasurementAgent) -> bool:
    rate = {"probing_rate": None}
    lowered = old.probing_rate is None or (
        new.probing_rate is not None and new.probing_rate <= old.probing_rate
    )
    return lowered and old.model_copy(update=rate) == new.model_copy(update=rate)


# The API server refuses rules that could cost too much by its estimate. So agents are
# compared field by field, in order, and by name only their rates; and optional values
# (`.?`) stand only where they are estimated by the size of a list.
_RATES_ARE_LOWERED = (
    "self.spec.agents.all(a, oldSelf.spec.agents.exists(o, o.name == a.name && "
    "(!has(o.probingRate) || "
    "has(a.probingRate) && a.probingRate <= o.probingRate)))"
)
_AGENTS_ARE_KEPT = " && ".join(
    f"self.spec.agents.map(a, a.?{name}) == oldSelf.spec.agents.map(a, a.?{name})"
    for name in _camel(MeasurementAgent, without=("probing_rate",))
)

_SPEC_IS_KEPT = Transition(
    _spec_is_kept,
    "!has(oldSelf.status) || !has(oldSelf.status.startTime) || "
    "!has(oldSelf.status.runId) || oldSelf.status.runId != oldSelf.spec.runId || "
    "self.spec.runId != oldSelf.spec.runId || ("
    + " && ".join(
        f"has(self.spec.{name}) == has(oldSelf.spec.{name}) && "
        f"(!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name})"
        for name in _camel(MeasurementSpec, without=(*MUTABLE, "agents", "run_id"))
    )
    + f" && {_AGENTS_ARE_KEPT} && {_RATES_ARE_LOWERED})",
    "the run has started: only suspend, deadlines, ttlSecondsAfterFinished and lower "
    "rates may change; for anything else set a new runId, which runs it again",
)


def _run_is_new(old: Measurement, new: Measurement) -> bool:
    return (
        old.status.start_time is None
        or new.spec.run_id == old.spec.run_id
        or new.spec.run_id != old.status.run_id
    )


_RUN_IS_NEW = Transition(
    _run_is_new,
    "!has(oldSelf.status) || !has(oldSelf.status.startTime) || "
    "!has(oldSelf.status.runId) || self.spec.runId == oldSelf.spec.runId || "
    "self.spec.runId != oldSelf.status.runId",
    "runId names a run that has been; choose one that was not used before",
)


class Measurement(Resource):
    """A survey: a tool, the agents that run it, and what they probe."""

    rules = (
        Rule(
            lambda measurement: len(measurement.metadata.name) <= MAX_NAME,
            f"size(self.metadata.name) <= {MAX_NAME}",
            f"a Measurement's name must have at most {MAX_NAME} characters: rounds and "
            "jobs are named after it",
        ),
    )
    transitions = (_SPEC_IS_KEPT, _RUN_IS_NEW)

    plural = "measurements"
    short_names = ("msm",)
    columns = (
        condition_column("Ready"),
        Column("Round", ".status.round", "integer"),
        Column("Agents", ".status.agentsSummary"),
        condition_column("Ready", field="reason", name="Reason"),
        AGE,
        Column("Suspended", ".spec.suspend", "boolean", wide=True),
        Column("Targets", ".status.targets.probed", "integer", wide=True),
        Column("LeftOut", ".status.targets.leftOut", "integer", wide=True),
        Column("Probes", ".status.totals.probes", "integer", wide=True),
        Column("Links", ".status.totals.links", "integer", wide=True),
    )

    spec: MeasurementSpec
    """What to measure, from where, and how long."""
    status: MeasurementStatus = MeasurementStatus()
    """The progress of the run; written by the operator."""

    @property
    def is_finished(self) -> bool:
        """Whether the run that the spec names has ended."""
        is_same = self.status.run_id == self.spec.run_id
        return is_same and self.status.completion_time is not None
