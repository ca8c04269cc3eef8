"""The names and labels of children, by which they are found again."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from anabranch.cluster.objects import MANAGER

PREFIX = "anabranch.dev"
COMPONENT = f"{PREFIX}/component"
AGENT = f"{PREFIX}/agent"
MEASUREMENT = f"{PREFIX}/measurement-uid"
TARGET_LIST = f"{PREFIX}/target-list-uid"
SURVEY = f"{PREFIX}/survey-uid"
SURVEY_NAME = f"{PREFIX}/survey"
CYCLE = f"{PREFIX}/cycle"
ENROLLED = f"{PREFIX}/enrolled"
TEMPLATE = f"{PREFIX}/template"
"""The hash of what a pod was made from."""
SELECTOR = f"app.kubernetes.io/managed-by={MANAGER}"
"""Selects the objects that the operator made."""
_HASH_DIGITS = 7
"""They have 28 bits, which distinguish measurements of the same name well enough."""


class Component(StrEnum):
    """The kind of a child."""

    AGENT = "agent"
    CYCLE = "cycle"
    ROUND = "round"
    LIST_JOB = "list-job"
    COUNT_JOB = "count-job"
    STEP_JOB = "step-job"
    RESULTS_JOB = "results-job"
    REMOVAL_JOB = "removal-job"


def label(component: Component, **more: str) -> dict[str, str]:
    """Return the labels of a child; ``more`` has those of ``anabranch.dev``."""
    return {
        "app.kubernetes.io/part-of": "anabranch",
        "app.kubernetes.io/managed-by": MANAGER,
        COMPONENT: component,
    } | {f"{PREFIX}/{name.replace('_', '-')}": value for name, value in more.items()}


def name_child(name: str, *parts: str, suffix: str) -> str:
    """Return the name of a child: the same for the same parts, else another."""
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:_HASH_DIGITS]
    return f"{name}-{digest}-{suffix}"
