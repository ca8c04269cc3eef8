"""What a case and a step are, and the least object of each kind."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]

API_VERSION = "anabranch.dev/v1alpha1"
DIGEST = "sha256:" + "0" * 64
UID = "7c8a1d4e-0f6b-4a57-9b1e-3f5c2d1a0b9c"

MINIMAL: dict[str, Manifest] = {
    "Measurement": {
        "ping": {},
        "agents": [{"name": "paris", "targetList": "routed"}],
    },
    "Survey": {
        "schedule": "@daily",
        "measurementTemplate": {
            "spec": {
                "ping": {},
                "agents": [{"name": "paris", "targetList": "routed"}],
            }
        },
    },
    "Agent": {"nodeName": "node-7"},
    "TargetList": {"entries": [{"target": "240.0.0.0/8"}]},
    "ProbingPolicy": {"contact": "https://example.org"},
    "Round": {
        "measurement": {"name": "weekly", "uid": UID},
        "runId": "1",
        "agent": "paris",
        "nodeName": "node-7",
        "round": 1,
        "plan": {"key": "shared/a", "digest": DIGEST, "blocks": 1, "probes": 9},
        "rate": 100,
    },
}
"""The least spec of each kind."""

REMOVED = object()
"""Stands for a field that a change takes away."""


@dataclass(frozen=True)
class Case:
    """A minimal object with a change, and what is to come of it."""

    kind: str
    says: str
    """What the case shows."""
    change: Manifest
    """Merged into the minimal object; lists are replaced."""
    refused: str = ""
    """The path of the refused field; empty when the object is accepted."""
    message: str = ""
    """What the refusal says on both sides, where it is our own rule's."""

    @property
    def manifest(self) -> Manifest:
        """The changed object."""
        return merge(minimal(self.kind), self.change)


@dataclass(frozen=True)
class Step:
    """A change of an object that is there, and what is to come of it."""

    kind: str
    says: str
    after: Manifest
    """Merged into the object."""
    before: Manifest = field(default_factory=dict)
    """Merged into the minimal object first."""
    status: Manifest = field(default_factory=dict)
    """What the operator has written before the change."""
    message: str = ""
    """What the refusal says; empty when the change is accepted."""
    of_status: bool = False
    """Whether it is the status that changes."""


def minimal(kind: str) -> Manifest:
    """The least object of a kind."""
    name = "default" if kind == "ProbingPolicy" else "sample"
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(MINIMAL[kind]),
    }


def merge(base: Manifest, change: Manifest) -> Manifest:
    """The base with a change: mappings merge, all else is replaced."""
    merged = copy.deepcopy(base)
    for name, value in change.items():
        if value is REMOVED:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def spec(**change: Any) -> Manifest:
    """A change of a spec."""
    return {"spec": change}
