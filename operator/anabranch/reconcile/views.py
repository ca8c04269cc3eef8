"""The few fields of other programs' objects that the operator keeps in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class JobView:
    """A Job."""

    name: str
    uid: str
    labels: Mapping[str, str]
    is_complete: bool
    is_failed: bool
    message: str
    """Why it failed, as Kubernetes says."""
    expires: bool
    """Whether Kubernetes will remove it some time after its end."""


@dataclass(frozen=True)
class PodView:
    """A pod of an agent."""

    name: str
    uid: str
    template: str
    """The hash of the template that it was made from."""
    created_at: datetime
    phase: str
    is_placed: bool
    """Whether it has a node."""
    is_ready: bool
    is_going: bool
    """Whether it was told to end."""
    image: str
    message: str
    """Why it does not run, as Kubernetes says."""
    credentials: str = ""
    """The Secret with those for the store, if there is one."""

    @property
    def version(self) -> str:
        """The tag of its image, whether a digest follows or not."""
        return self.image.partition("@")[0].rpartition(":")[2]


@dataclass(frozen=True)
class NodeView:
    """A node."""

    name: str
    labels: Mapping[str, str]


def view_job(body: Mapping[str, Any]) -> JobView:
    """Return what is kept of a Job."""
    metadata, status = body["metadata"], body.get("status", {})
    holds = {
        each["type"]: each
        for each in status.get("conditions", [])
        if each["status"] == "True"
    }
    failed = holds.get("Failed", {})
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        labels=dict(metadata.get("labels", {})),
        is_complete="Complete" in holds,
        is_failed=bool(failed),
        message=failed.get("message", ""),
        expires=body["spec"].get("ttlSecondsAfterFinished") is not None,
    )


def view_pod(body: Mapping[str, Any], template: str) -> PodView:
    """Return what is kept of a pod.

    ``template`` is the label that holds the template's hash.
    """
    metadata, status = body["metadata"], body.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    container = body["spec"]["containers"][0]
    secrets = [
        each["secretRef"]["name"]
        for each in container.get("envFrom", [])
        if "secretRef" in each
    ]
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        template=metadata.get("labels", {}).get(template, ""),
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        phase=status.get("phase", "Pending"),
        is_placed="nodeName" in body["spec"],
        is_ready=ready.get("status") == "True",
        is_going="deletionTimestamp" in metadata,
        image=container["image"],
        message=_find_trouble(status, conditions),
        credentials=next(iter(secrets), ""),
    )


def view_node(body: Mapping[str, Any]) -> NodeView:
    """Return what is kept of a node."""
    metadata = body["metadata"]
    return NodeView(metadata["name"], dict(metadata.get("labels", {})))


def _find_trouble(
    status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return what keeps a pod from running, from the most specific source."""
    for container in status.get("containerStatuses", []):
        for state in ("waiting", "terminated"):
            found = container.get("state", {}).get(state)
            if found:
                last = container.get("lastState", {}).get("terminated", {})
                words = (found.get("reason"), found.get("message"), last.get("message"))
                return ": ".join(word for word in words if word)
    for kind in ("PodScheduled", "ContainersReady", "Ready"):
        condition = conditions.get(kind, {})
        if condition.get("status") == "False" and condition.get("message"):
            message: str = condition["message"]
            return message
    text: str = status.get("message", "")
    return text
