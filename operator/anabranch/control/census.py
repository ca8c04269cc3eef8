"""Counts objects by state when Prometheus asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from anabranch.manifests.labels import COMPONENT, Component
from anabranch.reconcile.inventory import is_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

    from prometheus_client.core import Metric

    from anabranch.api import Agent, Measurement, Resource, Round, Survey
    from anabranch.api.round import RoundStatus
    from anabranch.reconcile.inventory import Inventory
    from anabranch.reconcile.quotas import Quotas
    from anabranch.reconcile.views import JobView

HINDRANCES = (
    *("NoPolicy", "ProbingStopped", "PolicyLimit", "QuotaExceeded"),
    *(
        "AgentMissing",
        "AgentTwice",
        "TeamNameTaken",
        "TeamImpossible",
        "AgentNotAllowed",
        "EventSocketMissing",
        "WaitingForAgents",
    ),
    *("TargetListMissing", "TargetListNotReady", "NotYet", "AgentsUnavailable"),
    *("SubjectMissing", "SubjectUnusable", "SubjectNotComplete"),
    *("AgentsFailed", "ResultsFailed", "DeadlineExceeded", "StartDeadlineExceeded"),
    *("NoTargets", "RunIdUsed", "NameTaken", "Counting", "Refused", "Starting"),
)
"""Why a Measurement does not go on, as its condition Ready says."""
AGENT_REASONS = {
    "ready": ("PodReady", "Draining"),
    "unready": (
        *("PodNotReady", "PodEnded", "PodMissing", "PodEnding", "Replacing"),
        *("PodForbidden", "NodeTaken", "NameTaken", "Uninstalled", "StoreRefuses"),
    ),
}
"""The reasons of an Agent's condition Ready, by whether it holds."""
_UNSEEN = "Unseen"
"""The reason of an object that the operator has not looked at yet."""
_OTHER = "Other"
"""Any other reason, so that the number of time series is fixed."""
_ENDS = ("Failed", "Complete", "Suspended", "Stalled", "Ready")
"""The first of these conditions that holds names a Measurement's state."""
_OF_SURVEYS = ("running", "scheduled", "suspended", "stalled", "waiting")
_OF_ROUNDS = ("probing", "waiting", "suspended", "complete", "failed")
_OF_QUOTAS = {
    "probes": "Probes that a namespace may send today (UTC), if that is limited.",
    "probes_used": "Probes that a namespace was charged today, once it was looked at.",
    "runs": "Runs that a namespace may have under way at once, if that is limited.",
    "runs_used": "Runs that a namespace with such a limit has under way.",
}
_OF_JOBS = ("active", "complete", "failed")
_JOBS = (
    Component.LIST_JOB,
    Component.COUNT_JOB,
    Component.STEP_JOB,
    Component.RESULTS_JOB,
    Component.REMOVAL_JOB,
)


@dataclass
class Progress:
    """A record of how long Rounds that should be probed have reported no progress.

    It begins when a Round is first counted: a status does not say when it was
    written.
    """

    clock: Callable[[], float]
    _told: dict[str, tuple[RoundStatus, float]] = field(default_factory=dict)
    """The last new status of each Round, by UID, and when it was seen."""

    def find_oldest(self, rounds: Iterable[Round]) -> float:
        """Return the longest time without a new status in seconds; 0 without Rounds."""
        now, told = self.clock(), {}
        for each in rounds:
            uid = each.metadata.uid
            status, since = self._told.get(uid, (each.status, now))
            told[uid] = (each.status, now if status != each.status else since)
        self._told = told
        return max((now - since for _, since in told.values()), default=0.0)


def count_objects(inventory: Inventory, progress: Progress) -> Iterator[Metric]:
    """Yield all metrics of objects."""
    measurements = [m for found in inventory.measurements.values() for m in found]
    yield from _count_measurements(measurements)
    rounds = [
        each
        for (by, _), found in inventory.rounds.items()
        for each in found
        if by == "agent"
    ]
    yield from _count_surveys(
        [s for found in inventory.surveys.values() for s in found]
    )
    yield from _count_rounds(rounds, progress)
    yield _count_agents(list(inventory.find_agents().values()))
    lists = [each for found in inventory.lists.values() for each in found]
    yield _count(
        "anabranch_target_lists",
        "TargetLists, by state.",
        ("ready", "stalled", "waiting"),
        map(_find_list_state, lists),
    )
    yield _count_jobs([job for found in inventory.jobs.values() for job in found])
    policy = inventory.find_policy()
    yield GaugeMetricFamily(
        "anabranch_policy_present",
        "1 if there is a ProbingPolicy that counts, 0 if nothing may be sent.",
        value=policy is not None,
    )
    yield GaugeMetricFamily(
        "anabranch_policy_stopped",
        "1 if the ProbingPolicy stops all probing.",
        value=policy is not None and policy.spec.stop,
    )


def count_quotas(quotas: Quotas, today: date) -> Iterator[Metric]:
    """Yield what namespaces may do and have done, of those that have a quota."""
    told: dict[str, dict[str, int | None]] = {name: {} for name in _OF_QUOTAS}
    for namespace, quota in quotas.find_quotas().items():
        if quota.max_probes_per_day is not None:
            told["probes"][namespace] = quota.max_probes_per_day
            told["probes_used"][namespace] = quotas.find_used(namespace, today)
        if quota.max_concurrent_runs is not None:
            told["runs"][namespace] = quota.max_concurrent_runs
            told["runs_used"][namespace] = quotas.count_runs(namespace)
    for name, says in _OF_QUOTAS.items():
        family = GaugeMetricFamily(f"anabranch_quota_{name}", says, labels=["tenant"])
        for namespace, value in told[name].items():
            if value is not None:
                family.add_metric([namespace], value)
        yield family


def _count_measurements(measurements: Sequence[Measurement]) -> Iterator[Metric]:
    states = [(each, _find_state(each)) for each in measurements]
    names = (*(name.lower() for name in _ENDS), "waiting")
    yield _count(
        "anabranch_measurements",
        "Measurements, by state.",
        names,
        (state for _, state in states),
    )
    hindered = [m for m, state in states if state in {"failed", "stalled", "waiting"}]
    yield _count(
        "anabranch_measurements_hindered",
        "Measurements that do not go on, by the reason of their condition Ready.",
        (*HINDRANCES, _UNSEEN, _OTHER),
        (_find_reason(each, HINDRANCES) for each in hindered),
        label="reason",
    )


def _count_surveys(surveys: Sequence[Survey]) -> Iterator[Metric]:
    yield _count(
        "anabranch_surveys",
        "Surveys, by state.",
        _OF_SURVEYS,
        map(_find_survey_state, surveys),
    )
    ends = [each.status.last_ended for each in surveys]
    yield GaugeMetricFamily(
        "anabranch_surveys_failing",
        "Surveys whose latest cycle failed.",
        value=sum(end is not None and not end.succeeded for end in ends),
    )


def _count_rounds(rounds: Sequence[Round], progress: Progress) -> Iterator[Metric]:
    yield _count(
        "anabranch_rounds",
        "Rounds that there are, by state.",
        _OF_ROUNDS,
        map(_find_round_state, rounds),
    )
    active = [each for each in rounds if not is_over(each)]
    plans = [(each, each.spec.plan) for each in active if each.spec.plan]
    yield GaugeMetricFamily(
        "anabranch_rounds_planned_probes",
        "Probes that the plans of Rounds that are not over ask for.",
        value=sum((plan.probes or 0) * each.spec.share for each, plan in plans),
    )
    yield GaugeMetricFamily(
        "anabranch_rounds_sent_probes",
        "Probes sent for Rounds that are not over, as these last told; not for those "
        "that trace destinations.",
        value=sum(
            each.status.probes_sent or 0
            for each, plan in plans
            if plan.destinations is None
        ),
    )
    yield GaugeMetricFamily(
        "anabranch_rounds_planned_destinations",
        "Destinations that Rounds that are not over are to trace.",
        value=sum((plan.destinations or 0) * each.spec.share for each, plan in plans),
    )
    yield GaugeMetricFamily(
        "anabranch_rounds_traced_destinations",
        "Destinations traced for Rounds that are not over, as these last told.",
        value=sum(each.status.destinations_traced or 0 for each, _ in plans),
    )
    yield GaugeMetricFamily(
        "anabranch_rounds_silent_seconds",
        "For how long the Round that is silent for longest has told nothing new. "
        "Standing Rounds do not count: they may have nothing to tell.",
        value=progress.find_oldest(r for r, _ in plans if not r.spec.suspend),
    )


def _count_agents(agents: Sequence[Agent]) -> Metric:
    found = Counter(
        (state, _find_reason(each, AGENT_REASONS[state]))
        for each in agents
        for state in ("ready" if each.holds("Ready") else "unready",)
    )
    family = GaugeMetricFamily(
        "anabranch_agents",
        "Agents, by state and the reason of their condition Ready.",
        labels=["state", "reason"],
    )
    for state, reasons in AGENT_REASONS.items():
        rest = (_OTHER,) if state == "ready" else (_UNSEEN, _OTHER)
        for reason in (*reasons, *rest):
            family.add_metric([state, reason], found[state, reason])
    return family


def _count_jobs(jobs: Sequence[JobView]) -> Metric:
    found = Counter((job.labels.get(COMPONENT), _find_job_state(job)) for job in jobs)
    family = GaugeMetricFamily(
        "anabranch_jobs",
        "Jobs that there are, by what they are for and by state.",
        labels=["component", "state"],
    )
    for component in _JOBS:
        for state in _OF_JOBS:
            family.add_metric([component, state], found[component, state])
    return family


def _count(
    name: str,
    says: str,
    words: Sequence[str],
    found: Iterable[str],
    label: str = "state",
) -> Metric:
    """Count how often each of some words is found, even if never."""
    counts = Counter(found)
    family = GaugeMetricFamily(name, says, labels=[label])
    for word in words:
        family.add_metric([word], counts[word])
    return family


def _find_state(measurement: Measurement) -> str:
    return next((s.lower() for s in _ENDS if measurement.holds(s)), "waiting")


def _find_reason(about: Resource, known: Sequence[str]) -> str:
    ready = about.find_condition("Ready")
    if ready is None:
        return _UNSEEN
    return ready.reason if ready.reason in known else _OTHER


def _find_list_state(target_list: Resource) -> str:
    if target_list.holds("Ready"):
        return "ready"
    return "stalled" if target_list.holds("Stalled") else "waiting"


def _find_survey_state(survey: Survey) -> str:
    for kind in ("Stalled", "Suspended"):
        if survey.holds(kind):
            return kind.lower()
    if not survey.holds("Ready"):
        return "waiting"
    return "running" if survey.status.active else "scheduled"


def _find_round_state(found: Round) -> str:
    # Conditions of an earlier spec count: agents say little about a change of rate.
    holding = {c.type for c in found.status.conditions if c.status == "True"}
    for kind in ("Failed", "Complete"):
        if kind in holding:
            return kind.lower()
    if found.spec.suspend:
        return "suspended"
    return "probing" if "Ready" in holding else "waiting"


def _find_job_state(job: JobView) -> str:
    if job.is_failed:
        return "failed"
    return "complete" if job.is_complete else "active"
