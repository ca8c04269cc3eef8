"""The operator with an agent on each of two nodes, by the chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from devcluster.demo import Demo


def install(demo: Demo) -> None:
    """Installs the operator and the agents that tests have."""
    demo.install()
    agents = [
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": name, "labels": {"team": "tests"}},
            "spec": {
                "nodeName": node,
                "maxProbingRate": 50_000,
                "waitSeconds": 2,
                "allowReserved": True,
            },
        }
        for name, node in (("paris", "n1"), ("tokyo", "n2"))
    ]
    demo.system.apply(yaml.safe_dump_all(agents))
    demo.wait_agents()
