"""Rounds, which tell agents what to probe next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from anabranch.api.resource import API_VERSION
from anabranch.manifests.labels import Component, label, name_child
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from anabranch.api import Agent, Measurement
    from anabranch.rounds.outcome import PlanSummary
    from anabranch.rounds.steps import Step


def name_step(measurement: Measurement, agent: str, suffix: str) -> str:
    """Return the name of a Round or Job of an agent's run.

    ``suffix`` is a step or a word.
    """
    metadata, run_id = measurement.metadata, measurement.spec.run_id
    return name_child(metadata.name, metadata.uid, run_id, agent, suffix=suffix)


@dataclass(frozen=True)
class Share:
    """What of a team's step an agent probes."""

    team: str
    hand_out: int
    """The number of the hand-out, from 1."""
    blocks: tuple[int, ...]

    def describe(self) -> dict[str, Any]:
        """Return the fields of a Round's spec."""
        return {
            "team": self.team,
            "handOut": self.hand_out,
            "blocks": list(self.blocks),
        }


def name_round(
    measurement: Measurement, owner: str, step: Step, share: Share | None = None
) -> str:
    """Return the name of a Round; ``owner`` is the agent or the team of the plan."""
    suffix = f"{step}-{share.hand_out}" if share else str(step)
    return name_step(measurement, owner, suffix)


def build_round(  # noqa: PLR0913 (what a Round is made of)
    measurement: Measurement,
    agent: Agent,
    step: Step,
    summary: PlanSummary,
    rate: int,
    *,
    share: Share | None = None,
) -> dict[str, Any]:
    """Build the Round that makes an agent probe a step, or its share of a team's step.

    Kubernetes removes it with the Measurement.
    """
    metadata, name = measurement.metadata, agent.metadata.name
    run_id = measurement.spec.run_id
    owner = share.team if share else name
    keys = RunKeys(metadata.uid, run_id, owner).step(step)
    labels = label(
        Component.ROUND,
        agent=name,
        measurement_uid=metadata.uid,
        step=str(step),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "Round",
        "metadata": {
            "name": name_round(measurement, owner, step, share),
            "namespace": metadata.namespace,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Measurement",
                    "name": metadata.name,
                    "uid": metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "measurement": {"name": metadata.name, "uid": metadata.uid},
            "runId": run_id,
            "agent": name,
            "nodeName": agent.spec.node_name,
            "round": step.round,
            "window": step.window,
            "plan": {"key": keys.plan, **_describe(summary)},
            **(share.describe() if share else {}),
            "rate": rate,
            "waitSeconds": agent.spec.wait_seconds,
        },
    }


def _describe(summary: PlanSummary) -> dict[str, Any]:
    return {name: it for name, it in asdict(summary).items() if it is not None}
