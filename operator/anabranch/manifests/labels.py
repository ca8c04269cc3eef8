"""How children are named and labelled, so that they are found again."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from anabranch.cluster.objects import MANAGER

PREFIX = "anabranch.dev"
COMPONENT = f"{PREFIX}/component"
AGENT = f"{PREFIX}/agent"
MEASUREMENT = f"{PREFIX}/measurement-uid"
TARGET_LIST = f"{PREFIX}/target-list-uid"
ENROLLED = f"{PREFIX}/enrolled"
TEMPLATE = f"{PREFIX}/template"
"""The hash of what a pod was made of."""
SELECTOR = f"app.kubernetes.io/managed-by={MANAGER}"
"""What the operator made."""
_HASH_DIGITS = 7
"""Of 28 bits: enough where names of measurements agree."""


class Component(StrEnum):
    """What a child is."""

    AGENT = "agent"
    ROUND = "round"
    LIST_JOB = "list-job"
    COUNT_JOB = "count-job"
    STEP_JOB = "step-job"
    RESULTS_JOB = "results-job"


def label(component: Component, **more: str) -> dict[str, str]:
    """The labels of a child; ``more`` has those of ``anabranch.dev``."""
    return {
        "app.kubernetes.io/part-of": "anabranch",
        "app.kubernetes.io/managed-by": MANAGER,
        COMPONENT: component,
    } | {f"{PREFIX}/{name.replace('_', '-')}": value for name, value in more.items()}


def name_child(name: str, *parts: str, suffix: str) -> str:
    """The name of a child: the same for the same parts, another for others."""
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:_HASH_DIGITS]
    return f"{name}-{digest}-{suffix}"
