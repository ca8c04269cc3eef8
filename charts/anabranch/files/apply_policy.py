"""Applies the chart's ProbingPolicy, as soon as the API server has the kind.

It is applied on the server's side: what somebody has changed by other means is not
taken back, but told. Opt-outs are only added: neither other values nor a rollback to
those of before has a network probed again that asked not to be.
"""

from __future__ import annotations

import json
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
    objects, about = client.CustomObjectsApi(), policy["metadata"]
    place = (group, version, about["namespace"], "probingpolicies", about["name"])
    spec = dict(policy["spec"])
    try:
        there: Any = objects.get_namespaced_custom_object(*place)
    except client.ApiException as error:
        if error.status != NOT_FOUND:
            raise
    else:
        exclusions = {*spec.get("exclusions", []), *there["spec"].get("exclusions", [])}
        spec["exclusions"] = sorted(exclusions)
    objects.patch_namespaced_custom_object(
        *place,
        policy | {"spec": spec},
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
            said = json.loads(error.body or "{}").get("message", error)
            return f"the ProbingPolicy: {said}; {REMEDIES.get(error.status, '')}"
        return None


if __name__ == "__main__":
    sys.exit(main())
