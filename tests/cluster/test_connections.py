"""A standing measurement on a real cluster: real connections to a server on a node."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from anabranch.store.keys import RunKeys
from clientele import PORT, run_clients
from devcluster import faults
from devcluster.process import wait_until
from eventsocket import play_tcp_info

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

AGENT, POD, BUCKET = "paris", "anabranch-agent-paris", "anabranch"
CLIENTS = [f"240.0.{number}.7" for number in range(6)]
EXCLUDED = "240.0.9.7"
SOCKETS = "var/local/tcpinfo"
"""The folder of tcp-info's socket, from the root of a node."""
WATCH = {
    "source": "kernel",
    "ports": [PORT],
    "cacheSeconds": 3600,
    "archiveSeconds": 10,
}


@dataclass(frozen=True)
class Clients:
    """The measurement of a server's clients, by the agent beside it."""

    kubectl: Kubectl
    demo: Demo

    def apply(self, **watch: Any) -> None:
        """Makes it, or changes what it says of connections."""
        manifest = {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": "Measurement",
            "metadata": {"name": "clients"},
            "spec": {
                "trace": {"algorithm": "mda"},
                "agents": [{"name": AGENT, "connections": WATCH | watch}],
            },
        }
        self.kubectl.apply(yaml.safe_dump(manifest))

    def wait_serving(self, **watch: Any) -> None:
        """Waits until the only Round is of the present spec, and its agent serves."""

        def serves() -> bool:
            rounds = self.kubectl.get("rounds")["items"]
            if len(rounds) != 1:
                return False
            said = rounds[0]["spec"]["standing"]["connections"]
            conditions = rounds[0].get("status", {}).get("conditions", [])
            reasons = {c["type"]: c["reason"] for c in conditions}
            return said | watch == said and reasons.get("Ready") == "Serving"

        wait_until("the agent to serve", serves, 60)

    def wait_counts(self, **counts: int) -> None:
        """Waits until the Round tells of so many connections."""

        def are_told() -> bool:
            (found,) = self.kubectl.get("rounds")["items"]
            told = found.get("status", {}).get("connections", {})
            return {name: told.get(name) for name in counts} == counts

        wait_until(f"{counts}", are_told, 60)

    def kill_agent(self) -> None:
        """Its container alone, which kubelet starts again."""
        container = self._find_container()
        faults.kill_container(self.demo.cluster.nodes[0], container)
        wait_until("another container", lambda: self._find_container() != container, 60)

    def _find_container(self) -> str:
        (status,) = self.demo.system.get(f"pod/{POD}")["status"]["containerStatuses"]
        name: str = status.get("containerID", "")
        return name

    def remove(self) -> None:
        """Removes it, and waits until its Rounds are gone."""
        self.kubectl.run("delete", "measurement", "clients")
        wait_until("no Round", lambda: not self.kubectl.get("rounds")["items"], 60)

    def read_archives(self, uid: str) -> tuple[list[dict[str, Any]], Counter[str]]:
        """What became of connections, and how often there is a file of each trace."""
        told: list[dict[str, Any]] = []
        files = Counter[str]()
        with self.demo.connect() as s3:
            prefix = f"{RunKeys(uid, '1', AGENT).archives}/"
            listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
            for each in listed.get("Contents", []):
                content = s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
                if each["Key"].endswith(".jsonl.gz"):
                    told += map(json.loads, gzip.decompress(content).splitlines())
                else:
                    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                        names = (member.name for member in tar)
                        files.update(name.rpartition("Z_")[2] for name in names)
        return told, files


def test_clients_of_a_server_are_traced_once_whatever_happens(
    cluster: Cluster, installed: Demo, kubectl: Kubectl
) -> None:
    """Its queue outlives a changed spec and a killed container; nothing is lost."""
    clients = Clients(kubectl, installed)
    clients.apply()
    uid = kubectl.get("measurement/clients")["metadata"]["uid"]
    with run_clients(cluster.nodes[0].member.unique_name) as connect:
        clients.wait_serving()
        connect(CLIENTS)
        clients.wait_counts(traced=6, waiting=0)
        clients.apply(exclude=["240.0.9.0/24"])
        clients.wait_serving(exclude=["240.0.9.0/24"])
        connect([*CLIENTS[:2], EXCLUDED])
        clients.wait_counts(traced=0, copied=2, dropped=1)
        clients.kill_agent()
        # The next process counts anew.
        clients.wait_counts(copied=0, dropped=0)
        clients.wait_serving(exclude=["240.0.9.0/24"])
        connect(CLIENTS[2:4])
        clients.wait_counts(traced=0, copied=2, waiting=0)
    clients.remove()

    def find_outcomes() -> Counter[str]:
        return Counter(each["outcome"] for each in clients.read_archives(uid)[0])

    wait_until("all archives", lambda: find_outcomes().total() >= 13, 60)
    told, files = clients.read_archives(uid)
    outcomes = Counter(each["outcome"] for each in told)
    assert outcomes.pop("missed") >= 2
    assert outcomes == {"traced": 6, "copied": 4, "dropped": 1}
    settled = [each for each in told if each["outcome"] != "missed"]
    assert len({each["uuid"] for each in settled}) == len(settled)
    kept = {each["uuid"] for each in settled if each["outcome"] != "dropped"}
    assert files == Counter(f"{uuid}.jsonl" for uuid in kept)
    traced = Counter(e["client"] for e in settled if e["outcome"] == "traced")
    assert traced == dict.fromkeys(CLIENTS, 1)
    (dropped,) = (each for each in settled if each["outcome"] == "dropped")
    assert (dropped["client"], dropped["reason"]) == (EXCLUDED, "excluded")


@contextmanager
def name_event_socket(demo: Demo) -> Iterator[Path]:
    """An admin says where tcp-info's socket is on the agent's node; its path here."""

    def change(socket: str | None) -> None:
        patch = json.dumps({"spec": {"eventSocket": socket}})
        demo.system.run("patch", "agent", AGENT, "--type=merge", f"--patch={patch}")
        wait_until("another pod", lambda: mounts_sockets() == bool(socket), 120)
        demo.wait_agents()

    def mounts_sockets() -> bool | None:
        pods = demo.system.list_pods(f"anabranch.dev/agent={AGENT}")
        volumes = [
            each.get("hostPath") for pod in pods for each in pod["spec"]["volumes"]
        ]
        folders = [each["path"] for each in volumes if each]
        return f"/{SOCKETS}" in folders if pods else None

    change(f"/{SOCKETS}/eventsocket")
    try:
        yield demo.cluster.nodes[0].folder / SOCKETS / "eventsocket"
    finally:
        change(None)


def test_a_pod_hears_the_event_socket_of_its_node(
    installed: Demo, kubectl: Kubectl
) -> None:
    """Also of a program that starts after it, and that starts again."""
    clients = Clients(kubectl, installed)
    with name_event_socket(installed) as path:
        clients.apply(source="eventSocket", ports=[])
        for first in (0, 3):
            with play_tcp_info(path) as info:
                info.await_listener(60)
                clients.wait_serving(source="eventSocket")
                info.end(*CLIENTS[first : first + 3])
                clients.wait_counts(traced=first + 3, waiting=0)
        clients.remove()
