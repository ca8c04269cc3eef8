"""Ends what the operator made and Helm does not know: agents' pods, and Jobs.

Agents that have no rights any more can't give up their Leases. Once their pods are gone
nobody sends, so the Leases go, too, and who comes next need not wait.

Agents and Measurements stay as they are, for a release that comes later.
"""

from __future__ import annotations

import os
import sys
import time

from kubernetes import client, config

SECONDS = 180
"""Agents are given a minute to store what they have."""
MADE = "app.kubernetes.io/managed-by=anabranch-operator"
OF_AGENTS = "anabranch.dev/component=agent"


def main() -> str | None:
    """Gives what is wrong, if something is."""
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    namespace = os.environ["NAMESPACE"]
    pods, jobs = client.CoreV1Api(), client.BatchV1Api()
    deadline = time.monotonic() + SECONDS
    while True:
        # An operator that ends may have made one more.
        jobs.delete_collection_namespaced_job(
            namespace, label_selector=MADE, propagation_policy="Background"
        )
        pods.delete_collection_namespaced_pod(namespace, label_selector=MADE)
        found = pods.list_namespaced_pod(namespace, label_selector=MADE).items
        left = [str(pod.metadata.name) for pod in found if pod.metadata]
        if not left:
            break
        if time.monotonic() > deadline:
            names = ", ".join(left)
            return f"these pods do not end; see their nodes, and delete them: {names}"
        time.sleep(1)
    client.CoordinationV1Api().delete_collection_namespaced_lease(
        namespace, label_selector=OF_AGENTS
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
