"""Rounds, which tell agents what to probe next."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from anabranch.api.resource import API_VERSION
from anabranch.manifests.labels import Component, label, name_child
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from anabranch.api import Agent, Measurement
    from anabranch.api.connections import Standing
    from anabranch.rounds.outcome import PlanSummary
    from anabranch.rounds.steps import Step

_STANDING = "standing"
"""Stands where Rounds of a plan have the step."""


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
    owner = share.team if share else name
    keys = RunKeys(metadata.uid, measurement.spec.run_id, owner).step(step)
    more = {
        "round": step.round,
        "window": step.window,
        "plan": {"key": keys.plan, **_describe(summary)},
        **(share.describe() if share else {}),
        "waitSeconds": agent.spec.wait_seconds,
    }
    round_name = name_round(measurement, owner, step, share)
    return _build(measurement, agent, round_name, str(step), more | {"rate": rate})


def write_standing(standing: Standing) -> str:
    """Return what a standing Round does as text, the same for the same."""
    return json.dumps(_write(standing), sort_keys=True)


def name_standing(measurement: Measurement, agent: Agent, does: str) -> str:
    """Return the name of a standing Round; ``does`` is what `write_standing` says.

    A Round is fixed, so one that does something else has another name.
    """
    metadata = measurement.metadata
    parts = (measurement.spec.run_id, agent.metadata.name, agent.spec.node_name)
    return name_child(metadata.name, metadata.uid, *parts, does, suffix=_STANDING)


def build_standing_round(
    measurement: Measurement, agent: Agent, standing: Standing, rate: int
) -> dict[str, Any]:
    """Build the Round that makes an agent serve a standing measurement."""
    name = name_standing(measurement, agent, write_standing(standing))
    more = {"round": 1, "standing": _write(standing), "rate": rate}
    return _build(measurement, agent, name, _STANDING, more)


def _build(
    measurement: Measurement, agent: Agent, name: str, step: str, more: dict[str, Any]
) -> dict[str, Any]:
    metadata = measurement.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": "Round",
        "metadata": {
            "name": name,
            "namespace": metadata.namespace,
            "labels": label(
                Component.ROUND,
                agent=agent.metadata.name,
                measurement_uid=metadata.uid,
                step=step,
            ),
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
            "runId": measurement.spec.run_id,
            "agent": agent.metadata.name,
            "nodeName": agent.spec.node_name,
            **more,
        },
    }


def _write(standing: Standing) -> dict[str, Any]:
    return standing.model_dump(mode="json", by_alias=True, exclude_none=True)


def _describe(summary: PlanSummary) -> dict[str, Any]:
    return {name: it for name, it in asdict(summary).items() if it is not None}
