from __future__ import annotations

import pytest

from anabranch.reconcile.views import view_pod


@pytest.mark.parametrize(
    "image",
    ["registry.example:5000/agent:1.2", "anabranch/agent:1.2@sha256:" + "0" * 64],
)
def test_the_version_of_an_agent_is_its_tag(image: str) -> None:
    """Whatever stands around it: a port before it, a digest behind it."""
    pod = {
        "metadata": {
            "name": "anabranch-agent-paris",
            "uid": "0",
            "creationTimestamp": "2026-11-24T12:00:00Z",
        },
        "spec": {"containers": [{"image": image}]},
    }
    assert view_pod(pod, "template").version == "1.2"
