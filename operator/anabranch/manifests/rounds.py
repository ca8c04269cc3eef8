"""Rounds, which tell agents what to probe next."""

from __future__ import annotations

from dataclasses import asdict
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


def build_round(
    measurement: Measurement,
    agent: Agent,
    step: Step,
    summary: PlanSummary,
    rate: int,
) -> dict[str, Any]:
    """Build the Round that makes an agent probe a step.

    Kubernetes removes it with the Measurement.
    """
    metadata, name = measurement.metadata, agent.metadata.name
    run_id = measurement.spec.run_id
    keys = RunKeys(metadata.uid, run_id, name).step(step)
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
            "name": name_step(measurement, name, str(step)),
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
            "rate": rate,
            "waitSeconds": agent.spec.wait_seconds,
        },
    }


def _describe(summary: PlanSummary) -> dict[str, Any]:
    return {name: it for name, it in asdict(summary).items() if it is not None}
