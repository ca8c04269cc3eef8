"""Ends the operator, and what it made and Helm does not know: agents' pods, and Jobs.

While the store and their rights are still there, agents store what they have. Once
their pods are gone nobody sends, so the Leases go, too, and who comes next need not
wait.

Agents and Measurements stay, for a release that comes later; an Agent says that nobody
looks after it any more, where it would say that it can probe.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from kubernetes import client, config

SECONDS = 180
"""Agents are given a minute to store what they have."""
OPERATOR = "anabranch-operator"
OF_OPERATOR = "app.kubernetes.io/name=anabranch,app.kubernetes.io/component=operator"
MADE = "app.kubernetes.io/managed-by=anabranch-operator"
OF_AGENTS = "anabranch.dev/component=agent"
AGENTS = ("anabranch.dev", "v1alpha1")


def main() -> str | None:
    """Gives what is wrong, if something is."""
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    namespace = os.environ["NAMESPACE"]
    pods, jobs = client.CoreV1Api(), client.BatchV1Api()
    deadline = time.monotonic() + SECONDS
    stop_operator(namespace)
    while True:
        # An operator that ends may have made one more.
        jobs.delete_collection_namespaced_job(
            namespace, label_selector=MADE, propagation_policy="Background"
        )
        pods.delete_collection_namespaced_pod(namespace, label_selector=MADE)
        left = [
            str(pod.metadata.name)
            for made in (OF_OPERATOR, MADE)
            for pod in pods.list_namespaced_pod(namespace, label_selector=made).items
            if pod.metadata
        ]
        if not left:
            break
        if time.monotonic() > deadline:
            names = ", ".join(left)
            return f"these pods do not end; see their nodes, and delete them: {names}"
        time.sleep(1)
    client.CoordinationV1Api().delete_collection_namespaced_lease(
        namespace, label_selector=OF_AGENTS
    )
    tell_agents(namespace)
    return None


def stop_operator(namespace: str) -> None:
    """Has the operator end, unless its Deployment went before it."""
    try:
        client.AppsV1Api().patch_namespaced_deployment_scale(
            OPERATOR, namespace, {"spec": {"replicas": 0}}
        )
    except client.ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


def tell_agents(namespace: str) -> None:
    """Says in each Agent that it has no operator."""
    objects = client.CustomObjectsApi()
    try:
        found: Any = objects.list_namespaced_custom_object(*AGENTS, namespace, "agents")
    except client.ApiException as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return  # The definitions went with the release.
        raise
    status = describe_agent(datetime.now(UTC))
    for agent in found["items"]:
        objects.patch_namespaced_custom_object_status(
            *(*AGENTS, namespace, "agents", agent["metadata"]["name"]),
            {"status": status},
            _content_type="application/merge-patch+json",
        )


def describe_agent(now: datetime) -> dict[str, Any]:
    """The status of an Agent that nobody looks after, as far as it is another one."""
    ready = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Uninstalled",
        "message": "its operator was removed, and its pod with it; install it again",
        "lastTransitionTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {"conditions": [ready], "podName": None}


if __name__ == "__main__":
    sys.exit(main())
