"""Applies the chart's ProbingPolicy, as soon as the API server has the kind.

It is applied on the server's side: what others have added, such as opt-outs, stays;
what somebody has changed by other means is not taken back, but told.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

SECONDS = 60
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
REMEDIES = {
    NOT_FOUND: "apply the CRDs, or set crds.install=true",
    CONFLICT: "set the same under policy in the chart's values, or take it back",
}


def apply(policy: dict[str, Any]) -> None:
    """Applies a policy."""
    group, _, version = policy["apiVersion"].partition("/")
    client.CustomObjectsApi().patch_namespaced_custom_object(
        group,
        version,
        policy["metadata"]["namespace"],
        "probingpolicies",
        policy["metadata"]["name"],
        policy,
        field_manager="anabranch-chart",
        _content_type="application/apply-patch+yaml",
    )


def main() -> str | None:
    """Gives what is wrong, if something is."""
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    policy = yaml.safe_load(Path("/etc/anabranch/policy.yaml").read_text())
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            apply(policy)
        except client.ApiException as error:
            # The kind, or the right to it, may be seconds away.
            if error.status in {NOT_FOUND, FORBIDDEN} and time.monotonic() < deadline:
                time.sleep(1)
                continue
            return f"{error.body}\n{REMEDIES.get(error.status, '')}"
        return None


if __name__ == "__main__":
    sys.exit(main())
