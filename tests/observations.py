"""What may be seen of a measurement, made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from anabranch.api import Agent, Measurement, Round, TargetList
from anabranch.api.policy import ProbingPolicySpec
from anabranch.manifests.rounds import Share, build_round
from anabranch.reconcile.decision import decide
from anabranch.reconcile.observation import AgentView, Decision, Observation
from anabranch.reconcile.start import make_roster
from anabranch.reconcile.views import JobView
from anabranch.rounds.outcome import Outcome, PlanSummary

if TYPE_CHECKING:
    from anabranch.api.resource import Condition
    from anabranch.rounds.steps import Step

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = f"sha256:{'0' * 64}"
SUMMARY = PlanSummary(DIGEST, 1, 600)
HEAD = {"apiVersion": "anabranch.dev/v1alpha1"}
BUCKET = "bucket"


def read_kind(kind: Any, name: str, spec: dict[str, Any], **more: Any) -> Any:
    """An object as the API server has it."""
    metadata: dict[str, Any] = {"name": name, "namespace": "research"}
    metadata["uid"] = f"uid-{name}"
    metadata |= {"generation": 1, "labels": {"team": "a"}}
    head = HEAD | {"kind": kind.__name__, "metadata": metadata}
    return kind.read(head | {"spec": spec} | more)


def ready(kind: str = "Ready") -> dict[str, Any]:
    """A status with one condition that holds."""
    condition = {
        "type": kind,
        "status": "True",
        "reason": kind,
        "message": "",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    }
    return {"observedGeneration": 1, "conditions": [condition]}


def see(count: int = 2, **spec: Any) -> Observation:
    """A measurement with all that it takes to start."""
    everyone = {"name": "all", "selector": {}, "targetList": "list"}
    measurement = {"diamondMiner": {}, "agents": [everyone], **spec}
    status = ready() | {"digest": DIGEST}
    target_list = {"entries": [{"target": "240.0.0.0/24"}]}
    views = {
        f"agent{n}": AgentView(
            agent=read_kind(Agent, f"agent{n}", {"nodeName": f"n{n}"}),
            is_ready=True,
            message="",
            is_outdated=False,
        )
        for n in range(1, count + 1)
    }
    return Observation(
        measurement=read_kind(Measurement, "survey", measurement),
        now=NOW,
        policy=ProbingPolicySpec(contact="me@here"),
        agents=views,
        lists={"list": read_kind(TargetList, "list", target_list, status=status)},
        rounds={},
        jobs={},
    )


def see_aliases(subject: Measurement | None) -> Observation:
    """A measurement that compares what another one has found."""
    entry = {"name": "all", "selector": {}}
    seen = see(diamondMiner=None, aliases={"of": "paths"}, agents=[entry])
    return replace(seen, subject=subject)


def make_subject(*, complete: bool = True, **spec: Any) -> Measurement:
    """A measurement that is over, as one that another one compares."""
    tool = spec or {"yarrp": {}}
    agents = [{"name": "all", "selector": {}}]
    if "aliases" not in tool:
        agents[0]["targetList"] = "list"
    status = ready("Complete" if complete else "Failed")
    run = {"runId": "1", "completionTime": "2026-11-24T00:00:00Z"}
    found: Measurement = read_kind(
        Measurement, "paths", {"agents": agents, **tool}, status=status | run
    )
    return found


def go_on(seen: Observation, decision: Decision) -> Observation:
    """The same once the status is said."""
    update = {"status": decision.status}
    return replace(seen, measurement=seen.measurement.model_copy(update=update))


def start(**spec: Any) -> Observation:
    """A measurement whose run has started, with its roster."""
    seen = see(**spec)
    seen = go_on(seen, decide(seen, BUCKET))
    status = seen.measurement.status
    roster = make_roster(seen, status.target_lists, status.subject, status.start_time)
    return replace(seen, roster=roster)


def find_condition(decision: Decision, kind: str) -> Condition:
    """A condition that is said."""
    (found,) = (c for c in decision.status.conditions if c.type == kind)
    return found


def make_outcome(step: Step, following: Step | None, **more: Any) -> Outcome:
    """What a step came to."""
    usual: dict[str, Any] = {
        "probes": 600,
        "replies": 500,
        **dict.fromkeys(("links", "prefixes", "amplified", "looping"), 1),
        "probes_left": 0,
        "is_cut": False,
    }
    following_step = str(following) if following else None
    return Outcome(step=str(step), next=following_step, **usual | more)


def make_round(
    seen: Observation,
    agent: str,
    step: Step,
    status: Any = None,
    share: Share | None = None,
) -> Round:
    """The Round of a step, or of a share of it."""
    manifest = build_round(
        seen.measurement, seen.agents[agent].agent, step, SUMMARY, 1000, share=share
    )
    metadata = manifest["metadata"] | {"uid": manifest["metadata"]["name"]}
    del metadata["ownerReferences"]
    body = manifest | {"metadata": metadata}
    return Round.read(body | ({"status": status} if status else {}))


def make_job(name: str, *, fails: str = "", expires: bool = False) -> JobView:
    """A Job that is over."""
    return JobView(
        name=name,
        uid=f"uid-{name}",
        labels={},
        is_complete=not fails,
        is_failed=bool(fails),
        message=fails,
        expires=expires,
    )
