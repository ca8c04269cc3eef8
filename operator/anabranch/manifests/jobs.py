"""Jobs that work on objects of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.manifests.clickhouse import describe_clickhouse
from anabranch.manifests.labels import COMPONENT, Component
from anabranch.manifests.store import describe_store
from anabranch.manifests.trust import describe_trust
from anabranch.runs.report import AWAY, REFUSED

if TYPE_CHECKING:
    from anabranch.manifests.settings import Settings

_CONTAINER = "job"
_BACKOFF_LIMIT = 6
_EXPIRING = {Component.LIST_JOB, Component.REMOVAL_JOB}
_EXPIRY_SECONDS = 300
_NOBODY = 65532


def build_job(
    settings: Settings,
    name: str,
    labels: dict[str, str],
    arguments: list[str],
    *,
    is_of_list: bool = False,
) -> dict[str, Any]:
    """Build a Job in the system namespace that runs ``anabranch job`` with arguments.

    A Job of a list has the rights of the jobs' service account. Kubernetes removes Jobs
    of lists and of removals after a while; if one failed, another one then tries again.
    Other Jobs stay until their work is recorded.
    """
    jobs = settings.jobs
    environment = describe_store(settings.store)
    environment["env"] += describe_clickhouse(settings.clickhouse)
    trust = describe_trust(settings.ca_bundle)
    environment["env"] += trust.env
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": jobs.service_account,
        "automountServiceAccountToken": is_of_list,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "fsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": _CONTAINER,
                "image": jobs.image,
                "imagePullPolicy": jobs.image_pull_policy,
                "args": ["job", *arguments],
                "resources": jobs.resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 (its own)
                    *trust.mounts,
                ],
                **environment,
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}, *trust.volumes],
    }
    if jobs.node_selector:
        pod["nodeSelector"] = jobs.node_selector
    if jobs.tolerations:
        pod["tolerations"] = list(jobs.tolerations)
    metadata: dict[str, Any] = {"labels": jobs.pod_labels | labels}
    if jobs.pod_annotations:
        metadata["annotations"] = jobs.pod_annotations
    expires = labels.get(COMPONENT) in _EXPIRING
    lifetime = {"ttlSecondsAfterFinished": _EXPIRY_SECONDS} if expires else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels,
        },
        "spec": {
            **lifetime,
            "backoffLimit": _BACKOFF_LIMIT,
            "activeDeadlineSeconds": jobs.active_deadline_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": _CONTAINER,
                            "operator": "In",
                            "values": [REFUSED],
                        },
                    },
                    # The store or ClickHouse may be away for longer than retries last.
                    {
                        "action": "Ignore",
                        "onExitCodes": {
                            "containerName": _CONTAINER,
                            "operator": "In",
                            "values": [AWAY],
                        },
                    },
                    {
                        "action": "Ignore",
                        "onPodConditions": [
                            {"type": "DisruptionTarget", "status": "True"}
                        ],
                    },
                ]
            },
            "template": {"metadata": metadata, "spec": pod},
        },
    }


def share_work(job: dict[str, Any], workers: int) -> None:
    """Have so many pods share the work of a Job, each with an index of its own."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["args"] += ["--workers", str(workers)]
    job["spec"] |= {
        "completionMode": "Indexed",
        "completions": workers,
        "parallelism": workers,
    }
