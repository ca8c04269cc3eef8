"""The Measurements of a Survey's cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.api.resource import API_VERSION
from anabranch.manifests.labels import CYCLE, SURVEY, Component, label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anabranch.api import Survey


def build_measurement(survey: Survey, number: int) -> dict[str, Any]:
    """Build the Measurement of a cycle. Kubernetes removes it with the Survey."""
    about = survey.metadata
    made = survey.make_measurement(number)
    own = label(
        Component.CYCLE, survey=about.name, survey_uid=about.uid, cycle=str(number)
    )
    metadata = {
        "name": made.metadata.name,
        "namespace": about.namespace,
        "labels": made.metadata.labels | own,
        "annotations": made.metadata.annotations,
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": survey.kind,
                "name": about.name,
                "uid": about.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    spec = made.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "apiVersion": API_VERSION,
        "kind": made.kind,
        "metadata": metadata,
        "spec": spec,
    }


def find_cycle(labels: Mapping[str, str]) -> tuple[str, int] | None:
    """Return the UID of the Survey and the number of the cycle that labels name."""
    uid, number = labels.get(SURVEY), labels.get(CYCLE, "")
    return (uid, int(number)) if uid and number.isdecimal() else None
