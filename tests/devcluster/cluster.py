"""A Kubernetes cluster of several nodes on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import HTTPError

from devcluster import controlplane, node
from devcluster.binaries import KUBE, PAUSE, build
from devcluster.cgroups import find_groups, make_group, remove_group
from devcluster.daemon import Daemon, find_descendants
from devcluster.images import ImageStore
from devcluster.kubectl import Kubectl
from devcluster.layout import Layout, Member, clusters_folder
from devcluster.machine import Machine
from devcluster.network import find_namespaces, make_network, remove_network
from devcluster.pki import Authority, write_key
from devcluster.process import pipe_tool, run_tool, succeeds, wait_until
from devcluster.sysctls import restore_sysctls, save_sysctls
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

API_SECONDS = 120.0
NODES_SECONDS = 180.0
_CONTAINERD_SECONDS = 60.0
_SIMULATOR_SECONDS = 20.0
_READY = (
    "{range .items[*]}{.metadata.name}="
    '{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
)
_HTTP = urllib3.PoolManager(retries=False, timeout=2)


@dataclass(frozen=True)
class Cluster:
    """A cluster of this machine, which may run or not."""

    layout: Layout
    images: ImageStore = field(default_factory=ImageStore)

    @classmethod
    def find(cls, number: int) -> Cluster | None:
        """The cluster of a number, if there is one."""
        record = Layout(number).folder / "layout.json"
        if not record.exists():
            return None
        return cls(Layout(number, json.loads(record.read_text())["size"]))

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines, the control plane's first."""
        return tuple(self._machine(member) for member in self.layout.members)

    @property
    def control_plane(self) -> Machine:
        """The machine of etcd, the API server and the controllers."""
        return self.machines[0]

    @property
    def nodes(self) -> tuple[Machine, ...]:
        """The machines of the nodes."""
        return self.machines[1:]

    @property
    def simulator(self) -> Daemon:
        """The process of the simulated Internet."""
        return Daemon(self.layout.folder / "simulator.pid")

    @property
    def kubectl(self) -> Kubectl:
        """Kubectl as the administrator."""
        return Kubectl(self.layout.kubeconfig)

    def find_processes(self) -> set[int]:
        """The process ids of all that runs in it, the simulator's too."""
        daemons = [machine.daemon for machine in self.machines] + [self.simulator]
        return find_descendants(
            {pid for each in daemons if (pid := each.find_pid()) is not None}
        )

    def start(self, tell: Callable[[str], object] = lambda _: None) -> None:
        """Starts all of it that does not run, and waits until all nodes are ready.

        Raises:
            RuntimeError: When it can't start, or runs with another number of nodes.
            TimeoutError: With what does not get ready.
        """
        _check_rights()
        kube = build(KUBE)
        self.images.wrap(build(PAUSE), node.PAUSE_IMAGE)
        with _lock(self.layout.number):
            self._record()
            save_sysctls(_sysctls_file())
            self._issue_certificates()
            make_network(self.layout)
            tell("certificates and network are there")
            volumes = self.layout.folder / "tmp" / "hostpath_pv"
            volumes.mkdir(parents=True, exist_ok=True)
            self._boot(kube)
            with ThreadPoolExecutor() as pool:
                # Takes longest, and needs no API server.
                loading = pool.submit(self.load_images)
                if self.simulator.find_pid() is None:
                    self.simulate(World(vantage_points=self.layout.size))
                self._wait_for("the API server", self.serves_api, API_SECONDS)
                tell("the API server is ready")
                self.kubectl.apply(controlplane.read_manifests(self.layout))
                loading.result()
            tell("the nodes have their images")
            self._wait_for("the nodes", self._has_ready_nodes, NODES_SECONDS)
            tell("all nodes are ready")

    def stop(self) -> None:
        """Removes all of it."""
        _check_rights()
        remove_cluster(self.layout.number)

    def simulate(self, world: World) -> None:
        """Connects the nodes with a simulated Internet, instead of the one before.

        Raises:
            RuntimeError: With its words, when it does not start.
            ValueError: When the world has not a vantage point for each node.
        """
        if world.vantage_points != self.layout.size:
            message = f"the world must have {self.layout.size} vantage points"
            raise ValueError(message)
        self.simulator.kill()
        self._wait_for(
            "the links into the Internet before to go",
            lambda: not any(self._has_internet()),
            _SIMULATOR_SECONDS,
        )
        names = [each.unique_name for each in self.layout.nodes]
        attach = [f"--attach={name}" for name in names]
        log = self.layout.folder / "simulator.log"
        *command, end = world.command
        self.simulator.start([*command, *attach, end, "sleep", "infinity"], log)

        def is_there() -> bool:
            if self.simulator.find_pid() is None:
                message = f"the simulator does not start:\n{log.read_text()[-2000:]}"
                raise RuntimeError(message)
            return all(self._has_internet())

        self._wait_for("the simulated Internet", is_there, _SIMULATOR_SECONDS)

    def serves_api(self) -> bool:
        """Whether the API server is ready.

        Raises:
            RuntimeError: When the control plane is switched off.
        """
        if not self.control_plane.is_running():
            log = self.control_plane.folder / "var/log/init.log"
            message = f"the control plane ended:\n{log.read_text()[-2000:]}"
            raise RuntimeError(message)
        with contextlib.suppress(RuntimeError):
            ready = self.kubectl.run("get", "--raw", "/readyz")
            self.kubectl.run("get", "namespace", "kube-system", "default")
            return ready == "ok"
        return False

    def load_images(self) -> None:
        """Gives all images to the nodes that run; others get them when they start."""
        running = [machine for machine in self.nodes if machine.is_running()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._load_images, running))

    def _machine(self, member: Member) -> Machine:
        return Machine(self.layout.folder, member)

    def _record(self) -> None:
        record = self.layout.folder / "layout.json"
        known = Cluster.find(self.layout.number)
        if known is not None:
            if known.layout != self.layout:
                message = (
                    f"cluster {self.layout.number} has {known.layout.size} nodes: stop "
                    "it first, or choose another number"
                )
                raise RuntimeError(message)
            return
        if names := find_namespaces(self.layout.number):
            message = (
                f"{', '.join(names)} belong to a cluster whose files are not in "
                f"{clusters_folder()}: stop that one with the ANABRANCH_CACHE that it "
                "was started with, or choose another number"
            )
            raise RuntimeError(message)
        self.layout.folder.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"size": self.layout.size}))

    def _issue_certificates(self) -> None:
        authority = Authority(self.layout.folder / "pki")
        authority.create()
        key = authority.folder / "service-accounts.key"
        if not key.exists():
            write_key(key)
        front_proxy = Authority(authority.folder / "front-proxy")
        controlplane.issue_certificates(self.layout, authority, front_proxy)
        for member in self.layout.nodes:
            node.issue_certificates(self.layout, member, authority)

    def _boot(self, kube: Path) -> None:
        control_plane = self.control_plane
        controlplane.write_config(self.layout, control_plane.folder)
        control_plane.boot(controlplane.list_services(self.layout), kube)
        for machine in self.nodes:
            if machine.is_running():
                continue
            node.write_config(machine.member, machine.folder)
            # kubelet takes seconds for each group of pods that are no more.
            remove_group(machine.member.unique_name)
            make_group(machine.member.unique_name)
            machine.boot(node.list_services(machine.member), kube)

    def _load_images(self, machine: Machine) -> None:
        """Gives a node what it lacks of all images."""
        ctr = ("ctr", "--namespace=k8s.io")
        ask = machine.enter(*ctr, "content", "list", "--quiet")
        self._wait_for(
            f"containerd of {machine.member.name}",
            lambda: succeeds(*ask),
            _CONTAINERD_SECONDS,
        )
        present = set(run_tool(*ask).split())
        load = machine.enter(*ctr, "images", "import", "-")
        pipe_tool(
            *load, write=lambda out: self.images.archive.write_missing(out, present)
        )

    def _wait_for(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        try:
            wait_until(what, holds, seconds)
        except TimeoutError as error:
            error.add_note(f"its logs are in {self.layout.folder}/*/var/log")
            raise

    def _has_ready_nodes(self) -> bool:
        names = {each.name for each in self.layout.nodes}
        try:
            status = self.kubectl.run("get", "nodes", f"--output=jsonpath={_READY}")
            self.kubectl.run("get", "serviceaccount", "default")
        except RuntimeError:
            return False
        if {line for line in status.splitlines() if line} != {
            f"{n}=True" for n in names
        }:
            return False
        dns = (
            f"http://{self.layout.control_plane.address}:{controlplane.DNS_PORT}/ready"
        )
        proxies = [
            f"http://{member.address}:{node.PROXY_PORT}/healthz"
            for member in self.layout.nodes
        ]
        return all(_answers(url) for url in [dns, *proxies])

    def _has_internet(self) -> Iterator[bool]:
        for member in self.layout.nodes:
            show = ("ip", "-netns", member.unique_name, "route", "show", "240.0.0.0/4")
            yield bool(run_tool(*show).strip())


def remove_cluster(number: int) -> None:
    """Ends and removes all that a cluster has, also what is left of one."""
    folder = Layout(number).folder
    with _lock(number):
        daemons = [Daemon(file) for file in folder.glob("*.pid")]
        for daemon in daemons:
            daemon.kill()
        for name in find_groups(f"ab{number}-*"):
            remove_group(name)
        remove_network(number)
        if folder.exists():
            shutil.rmtree(folder)
        others = [each for each in clusters_folder().iterdir() if each.is_dir()]
        if not others:
            restore_sysctls(_sysctls_file())


def _sysctls_file() -> Path:
    return clusters_folder() / "sysctls.json"


def _check_rights() -> None:
    if os.geteuid() != 0:
        message = "a cluster takes namespaces, mounts and control groups: be root"
        raise PermissionError(message)


def _answers(url: str) -> bool:
    try:
        return _HTTP.request("GET", url).status == 200
    except HTTPError:
        return False


@contextlib.contextmanager
def _lock(number: int) -> Iterator[None]:
    """Has others that start or stop this cluster wait."""
    clusters_folder().mkdir(parents=True, exist_ok=True)
    with (clusters_folder() / f"{number}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
