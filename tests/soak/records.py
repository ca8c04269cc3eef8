"""What a cluster has and says: read, and not judged."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from anabranch_engine import Plan

from anabranch.rounds.steps import Step
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys
from anabranch.warehouse.parts import find_ends
from devcluster.demo import SYSTEM
from soak.judge import Found, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devcluster.cluster import Cluster
    from devcluster.kubectl import Kubectl
    from devcluster.machine import Machine

BUCKET = "anabranch"
_COMMANDS = {
    "operator": re.compile(r"anabranch\0operator\0"),
    "agent": re.compile(r"anabranch_agent\0|anabranch-agent\0"),
}


@dataclass(frozen=True)
class Records:
    """What can be read of a cluster, also while parts of it are away."""

    cluster: Cluster
    kubectl: Kubectl
    """In the namespace of the user."""

    @property
    def store(self) -> DirectoryStore:
        """The files of the embedded store, as its gateway has them on disk."""
        volumes = self.cluster.layout.folder / "tmp" / "hostpath_pv"
        (bucket,) = volumes.glob(f"*/data/{BUCKET}/agents")
        return DirectoryStore(bucket.parent)

    def find_all(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """The objects of a kind, by default of all namespaces."""
        where = f"--namespace={namespace}" if namespace else "--all-namespaces"
        found: list[dict[str, Any]] = self.kubectl.get(kind, where)["items"]
        return found

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object of the user, if it is there and can be read now."""
        with contextlib.suppress(RuntimeError):
            return self.kubectl.get(f"{kind}/{name}")
        return None

    def read_end(self, measurement: dict[str, Any]) -> Found:
        """What came of a measurement that has ended."""
        status = measurement.get("status", {})
        uid, run_id = measurement["metadata"]["uid"], status.get("runId", "1")
        links = frozenset[tuple[str, str]]()
        for each in status.get("results", []):
            if each["name"] == "links":
                key = each["uri"].partition(f"{BUCKET}/")[2]
                table = pq.read_table(
                    self.store.path(key), columns=["near_addr", "far_addr"]
                )
                links = frozenset(
                    (row["near_addr"], row["far_addr"]) for row in table.to_pylist()
                )
        return Found(status, links, tuple(self._find_gaps(uid, run_id)))

    def _find_gaps(self, uid: str, run_id: str) -> Iterator[str]:
        """Where the parts of steps that are over end before their plans."""
        root = self.store.path("agents")
        for outcome in root.glob(f"*/{uid}/{run_id}/*/outcome.json"):
            agent, step = outcome.relative_to(root).parts[0], outcome.parent.name
            keys = RunKeys(uid, run_id, agent).step(Step(*map(int, step.split("-"))))
            plan_file = self.store.path(keys.plan)
            if not plan_file.exists():
                continue
            plan, ends = Plan(plan_file), find_ends(self.store, keys)
            for block in range(plan.blocks):
                if ends.get(block, 0) < plan.end(block):
                    there = f"block {block} of step {step} by {agent}"
                    yield f"{there} ends at {ends.get(block, 0)} of {plan.end(block)}"

    def list_processes(self) -> list[Process]:
        """The processes of the operator and of agents on all nodes."""
        return [
            process for node in self.cluster.nodes for process in _find_processes(node)
        ]

    def list_children(self) -> list[str]:
        """The names of all Rounds, Jobs, and Jobs' pods."""
        found = [
            f"Round {each['metadata']['name']}" for each in self.find_all("rounds")
        ]
        labels = ("--selector=anabranch.dev/component", f"--namespace={SYSTEM}")
        for kind in ("Job", "Pod"):
            objects = self.kubectl.get(kind.lower() + "s", *labels)["items"]
            found += [
                f"{kind} {each['metadata']['name']}"
                for each in objects
                if each["metadata"]["labels"]["anabranch.dev/component"] != "agent"
            ]
        return found


def _find_processes(node: Machine) -> Iterator[Process]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            groups = (process / "cgroup").read_text()
            if node.member.unique_name not in groups:
                continue
            for name, pattern in _COMMANDS.items():
                if pattern.search(words):
                    yield _read_process(name, process)


def _read_process(name: str, process: Path) -> Process:
    status = (process / "status").read_text()

    def find(field: str) -> int:
        (value,) = re.findall(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
        return int(value)

    files = len(list((process / "fd").iterdir()))
    return Process(name, find("VmRSS") * 1024, files, find("Threads"))
