"""The faults: what each breaks, and how it is mended again."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devcluster import faults
from devcluster.demo import CHART, SYSTEM
from soak.schedule import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.machine import Machine
    from soak.schedule import Strike

AGENTS = ("paris", "tokyo")
"""The agents, in the order of their nodes."""
NOW = ("--grace-period=0", "--force", "--wait=false", "--ignore-not-found")
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
_ATTEMPTS, _PAUSE_SECONDS = 60, 2.0
_COMPONENT = "app.kubernetes.io/component"
_THIEF = '{"spec":{"holderIdentity":"thief"}}'


@dataclass
class Scene:
    """What faults strike."""

    cluster: Cluster
    demo: Demo
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def node(self, strike: Strike) -> Machine:
        """The node that a fault strikes."""
        return self.cluster.nodes[strike.node]

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Waits until no other fault strikes the same thing."""
        with self._locks.setdefault(what, threading.Lock()):
            yield

    def insist(self, *words: str) -> None:
        """Has kubectl do something, again and again where the API server is away."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(RuntimeError):
                self.cluster.kubectl.run(*words)
                return
            time.sleep(_PAUSE_SECONDS)
        self.cluster.kubectl.run(*words)

    def remove_pods(self, labels: str) -> None:
        """Removes pods at once, as if their node had lost them."""
        self.demo.system.run("delete", "pods", f"--selector={labels}", *NOW)


def kill_operator(scene: Scene, _: Strike) -> None:
    """Its pod, at once."""
    scene.remove_pods(f"{_COMPONENT}=operator")


def kill_agent(scene: Scene, strike: Strike) -> None:
    """Its container alone; kubelet starts it again."""
    pod = scene.demo.system.get(f"pod/anabranch-agent-{AGENTS[strike.node]}")
    for status in pod["status"].get("containerStatuses", []):
        faults.kill_container(scene.node(strike), status["containerID"])


def remove_agent(scene: Scene, strike: Strike) -> None:
    """Its whole pod, with what it has not stored yet."""
    pod = f"anabranch-agent-{AGENTS[strike.node]}"
    scene.demo.system.run("delete", "pod", pod, *NOW)


def kill_jobs(scene: Scene, _: Strike) -> None:
    """The pods of all Jobs that are there."""
    scene.remove_pods("anabranch.dev/component in (list-job,step-job,results-job)")


def kill_store(scene: Scene, _: Strike) -> None:
    """It comes back with its volume."""
    scene.remove_pods(f"{_COMPONENT}=store")


def steal_operator_lease(scene: Scene, _: Strike) -> None:
    """Whoever led must end; the thief does not renew it."""
    lease = ("lease", "anabranch-operator", "--type=merge", f"--patch={_THIEF}")
    scene.demo.system.run("patch", *lease)


def steal_agent_lease(scene: Scene, strike: Strike) -> None:
    """The agent must fall silent until the thief counts as dead."""
    name = f"anabranch-agent-{AGENTS[strike.node]}"
    lease = ("lease", name, "--type=merge", f"--patch={_THIEF}")
    scene.demo.system.run("patch", *lease)


def stop_api(scene: Scene, strike: Strike) -> None:
    """Nobody is told anything, and all watches break."""
    with scene.alone("api"), faults.stop_api(scene.cluster):
        time.sleep(strike.lasts)


def slow_api(scene: Scene, strike: Strike) -> None:
    """All that it hears and says is late."""
    with scene.alone("api"), faults.delay_api(scene.cluster, 0.5):
        time.sleep(strike.lasts)


def stop_kubelet(scene: Scene, strike: Strike) -> None:
    """Pods go on, and nobody looks after them."""
    node = scene.node(strike)
    with scene.alone(node.member.name), faults.stop_service(node, "kubelet"):
        time.sleep(strike.lasts)


def switch_off(scene: Scene, strike: Strike) -> None:
    """A power cut of a node."""
    node = scene.node(strike)
    with scene.alone(node.member.name), faults.switch_off(scene.cluster, node):
        time.sleep(strike.lasts)


def unplug(scene: Scene, strike: Strike) -> None:
    """A node is cut off from the cluster, but not from the Internet."""
    with faults.unplug(scene.cluster, scene.node(strike)):
        time.sleep(strike.lasts)


def cordon(scene: Scene, strike: Strike) -> None:
    """A node takes no pods."""
    name = scene.node(strike).member.name
    with scene.alone(f"schedule {name}"):
        scene.insist("cordon", name)
        try:
            time.sleep(strike.lasts)
        finally:
            scene.insist("uncordon", name)


def drain(scene: Scene, strike: Strike) -> None:
    """All pods of a node are evicted."""
    name = scene.node(strike).member.name
    with scene.alone(f"schedule {name}"):
        try:
            scene.cluster.kubectl.run("drain", name, *DRAIN)
            time.sleep(strike.lasts)
        finally:
            scene.insist("uncordon", name)


def take_store_away(scene: Scene, strike: Strike) -> None:
    """There is none for a while."""
    with scene.alone("store"):
        _scale_store(scene, 0)
        try:
            time.sleep(strike.lasts)
        finally:
            _scale_store(scene, 1)


def _scale_store(scene: Scene, replicas: int) -> None:
    to = f"--replicas={replicas}"
    scene.insist("scale", f"--namespace={SYSTEM}", "deployment/anabranch-store", to)


def upgrade(scene: Scene, strike: Strike) -> None:
    """By Helm: the operator is replaced, and agents' pods between their rounds."""
    new = f"agents.podAnnotations.soak=at-{strike.at:.0f}"
    chart = str(CHART)
    with scene.alone("release"):
        scene.demo.helm("upgrade", "anabranch", chart, "--reuse-values", "--set", new)


def stop_probes(scene: Scene, strike: Strike) -> None:
    """The policy says stop, for a while."""
    with scene.alone("policy"):
        _set_stop(scene, stop=True)
        try:
            time.sleep(strike.lasts)
        finally:
            _set_stop(scene, stop=False)


def _set_stop(scene: Scene, *, stop: bool) -> None:
    patch = json.dumps({"spec": {"stop": stop}})
    words = ("probingpolicy", "default", "--type=merge", f"--patch={patch}")
    scene.insist("patch", f"--namespace={SYSTEM}", *words)


FAULTS: dict[Kind, Callable[[Scene, Strike], None]] = {
    Kind("kill the operator"): kill_operator,
    Kind("kill the agent"): kill_agent,
    Kind("kill Jobs"): kill_jobs,
    Kind("kill the store"): kill_store,
    Kind("steal the operator's Lease"): steal_operator_lease,
    Kind("stop the API server", 2, 10): stop_api,
    Kind("slow API server", 5, 15): slow_api,
    Kind("take the store away", 5, 30): take_store_away,
    Kind("cordon", 5, 20): cordon,
    Kind("stop all probes", 2, 10): stop_probes,
    Kind("remove the agent's pod", is_quick=False): remove_agent,
    Kind("steal the agent's Lease", is_quick=False): steal_agent_lease,
    Kind("stop kubelet", 5, 60, is_quick=False): stop_kubelet,
    Kind("switch off", 5, 40, is_quick=False): switch_off,
    Kind("unplug", 5, 60, is_quick=False): unplug,
    Kind("drain", 5, 15, is_quick=False): drain,
    Kind("upgrade", is_quick=False): upgrade,
}


def list_kinds(*, quick: bool) -> Sequence[Kind]:
    """The kinds of faults, or those alone that are soon over."""
    return [kind for kind in FAULTS if kind.is_quick or not quick]


def find_fault(name: str) -> Callable[[Scene, Strike], None]:
    """What a kind of fault does."""
    return next(fault for kind, fault in FAULTS.items() if kind.name == name)
