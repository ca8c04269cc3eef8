"""The operator as a process, beside an API server and a store, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agents import write_kubeconfig
from anabranch.api import KINDS
from anabranch.api.schema import build_crd
from anabranch.cluster.client import Cluster, RefusedError
from anabranch.cluster.objects import Place
from anabranch.store.s3 import S3Store
from devcluster.apiserver import run_apiserver
from devcluster.s3 import KEY, REGION, SECRET, run_s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from devcluster.apiserver import ApiServer
    from devcluster.s3 import S3

NAMESPACE = "default"
"""Where all objects are: the user's and the system's."""


@dataclass(frozen=True)
class BareOperator:
    """Where an operator can be started and stopped."""

    cluster: Cluster
    store: S3Store
    folder: Path

    @property
    def settings(self) -> Path:
        """The file with the operator's settings."""
        return self.folder / "settings.yaml"

    @contextlib.contextmanager
    def run(self, port: int = 0) -> Iterator[subprocess.Popen[bytes]]:
        """Runs an operator as long as a ``with`` lasts, and ends it by SIGTERM."""
        command = [sys.executable, "-m", "anabranch", "operator", "--port", str(port)]
        with (self.folder / "operator.log").open("ab") as log:
            operator = subprocess.Popen(
                [*command, "--settings", str(self.settings)], stdout=log, stderr=log
            )
        try:
            yield operator
        finally:
            operator.terminate()
            operator.wait()

    async def install(self) -> None:
        """Makes the kinds, the policy and a target list."""
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for kind in KINDS:
            await self.cluster.request("POST", crds, body=build_crd(kind))
        for kind in KINDS:
            await self._wait_for(Place(kind.__name__, NAMESPACE).path)
        policy = {"contact": "https://example.org/survey"}
        await self.create("ProbingPolicy", "default", policy)
        await self.create("TargetList", "list", {"entries": [{"target": "8.8.8.8"}]})

    async def _wait_for(self, path: str) -> None:
        """Waits until objects are served at a path."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.cluster.request("GET", path)
                except RefusedError:
                    await asyncio.sleep(0.5)
                else:
                    return

    async def create(
        self,
        kind: str,
        name: str,
        spec: dict[str, Any],
        labels: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Makes an object, and gives it as it is then."""
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels or {}}
        head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind}
        body = head | {"metadata": metadata, "spec": spec}
        path = Place(kind, NAMESPACE).path
        return await self.cluster.request("POST", path, body=body)


@contextlib.asynccontextmanager
async def open_bare(folder: Path) -> AsyncIterator[BareOperator]:
    """An API server and a store for an operator, as long as a ``with`` lasts."""
    for part in ("api", "s3"):
        (folder / part).mkdir()
    with run_apiserver(folder / "api") as apiserver, run_s3(folder / "s3") as s3:
        _write_settings(folder, apiserver, s3)
        cluster = await Cluster.connect()
        store = S3Store(s3.bucket, endpoint_url=s3.url)
        try:
            yield BareOperator(cluster, store, folder)
        finally:
            await cluster.close()


def _write_settings(folder: Path, apiserver: ApiServer, s3: S3) -> None:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(write_kubeconfig(apiserver)))
    os.environ |= {
        "KUBECONFIG": str(kubeconfig),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }
    settings = {
        "namespace": NAMESPACE,
        "store": {"bucket": s3.bucket, "endpoint": s3.url},
        "jobs": {"image": "operator"},
        "agents": {"image": "agent"},
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))


def read_peak(pid: int) -> float:
    """The most memory that a process had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) / 1024


def read_cpu(pid: int) -> float:
    """The processor time that a process has taken, in seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
