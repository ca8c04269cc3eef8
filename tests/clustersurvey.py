"""A survey by the operator on a real cluster, from two of its nodes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from devcluster.process import run_tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl
    from devcluster.machine import Machine

RATE = 200
"""So slow that a round takes some seconds."""
NOISE = 40
"""Frames in some minutes: kernels look for neighbours now and then."""
_NOISE_AT_ONCE = 4
"""The same, in some seconds."""
Links = set[tuple[str, str]]


@dataclass(frozen=True)
class Survey:
    """A survey of two nodes."""

    cluster: Cluster
    demo: Demo
    kubectl: Kubectl

    def start(
        self,
        rate: int = RATE,
        tool: str = "diamondMiner",
        target: str = "240.0.0.0/20",
        parameters: Mapping[str, Any] = MappingProxyType({}),
        **more: Any,
    ) -> None:
        """Has it begin, with parameters of the tool and more fields of the spec."""
        entry = {
            "name": "all",
            "selector": {"matchLabels": {"team": "tests"}},
            "targetList": "list",
            "probingRate": rate,
        }
        kinds: dict[str, dict[str, Any]] = {
            "TargetList": {"entries": [{"target": target}]},
            "Measurement": {
                tool: {**parameters},
                "agents": [entry],
                "minAgents": 2,
            }
            | more,
        }
        manifests = [
            {
                "apiVersion": "anabranch.dev/v1alpha1",
                "kind": kind,
                "metadata": {"name": "list" if kind == "TargetList" else "survey"},
                "spec": spec,
            }
            for kind, spec in kinds.items()
        ]
        self.kubectl.apply(yaml.safe_dump_all(manifests))

    def change(self, **spec: Any) -> None:
        """Changes fields of the Measurement."""
        patch = json.dumps({"spec": spec})
        words = ("patch", "measurement", "survey", "--type=merge")
        self.kubectl.run(*words, f"--patch={patch}")

    def wait_reason(self, reason: str, seconds: float = 60) -> None:
        """Waits until it is ready, or not, for a reason."""
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
        self.kubectl.wait("measurement/survey", f"{path}={reason}", seconds)

    def wait_probing(self) -> None:
        """Waits until both agents probe, and have not done so for long."""
        self.wait_agents("Probing")

    def wait_agents(self, reason: str) -> None:
        """Waits until both agents give a reason why they are ready, or not."""
        what = f"two Rounds that are {reason}"
        wait_until(what, lambda: self._list_reasons().count(reason) == 2, 120)

    def wait_replies(self, count: int) -> None:
        """Waits until the status tells of at least so many replies."""
        wait_until(f"{count} replies", lambda: self._count_replies() >= count, 180)

    def _count_replies(self) -> int:
        status = self.kubectl.get("measurement/survey").get("status", {})
        return int(status.get("totals", {}).get("replies", 0))

    def _list_reasons(self) -> list[str]:
        rounds = self.kubectl.get("rounds")["items"]
        return [
            condition["reason"]
            for each in rounds
            for condition in each.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready"
        ]

    def finish(self) -> tuple[dict[str, Any], Links]:
        """Waits until it is complete; its status, and the links."""
        self.kubectl.wait("measurement/survey", "condition=Complete", 300)
        status: dict[str, Any] = self.kubectl.get("measurement/survey")["status"]
        return status, self.demo.read_links(status)

    def find_pod(self, component: str) -> dict[str, Any] | None:
        """A pod of the operator's making that runs."""
        label = f"anabranch.dev/component={component}"
        pods = self.demo.system.list_pods(label)
        running = (pod for pod in pods if pod["status"].get("phase") == "Running")
        return next(running, None)


def finish_undisturbed(demo: Demo, **fields: Any) -> tuple[dict[str, Any], Links]:
    """What comes of a survey in a namespace of its own, which goes with it."""
    with demo.cluster.kubectl.open_namespace() as kubectl:
        survey = Survey(demo.cluster, demo, kubectl)
        survey.start(**fields)
        return survey.finish()


def are_silent(nodes: Sequence[Machine], seconds: float = 3) -> bool:
    """Whether nodes send no probes into the simulated Internet, for a while."""
    before = [count_frames(node) for node in nodes]
    time.sleep(seconds)
    after = [count_frames(node) for node in nodes]
    return all(
        now - then <= _NOISE_AT_ONCE for now, then in zip(after, before, strict=True)
    )


def count_frames(node: Machine) -> int:
    """Frames that a node sent into the simulated Internet."""
    file = "/sys/class/net/sim0/statistics/tx_packets"
    return int(run_tool(*node.enter("cat", file)))
