"""`python -m devcluster.demo`: the demo's survey by the operator, in a cluster."""

from __future__ import annotations

import argparse
import base64
import contextlib
import csv
import io
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow.parquet

from devcluster.binaries import HELM, build
from devcluster.cluster import Cluster
from devcluster.process import find_free_ports, run_program, run_tool, tell, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from types_boto3_s3 import S3Client

    from devcluster.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "anabranch"
VALUES = Path(__file__).parent / "values.yaml"
SURVEY = ROOT / "examples" / "kubernetes" / "survey.yaml"
LINKS = ROOT / "build" / "demo" / "links.csv"
"""What `make demo` found in the same Internet."""
SYSTEM = "anabranch-system"
_INSTALL_SECONDS = 300
_AGENTS_SECONDS = 120
_SURVEY_SECONDS = 600
_FORWARD_SECONDS = 20


@dataclass(frozen=True)
class Demo:
    """The demo in a cluster."""

    cluster: Cluster

    @property
    def system(self) -> Kubectl:
        """Kubectl in the system namespace."""
        return replace(self.cluster.kubectl, namespace=SYSTEM)

    def run(self) -> None:
        """Installs the operator, has it do the survey, and compares what it found.

        Raises:
            RuntimeError: When something fails, with the words of what did, or the links
                are not those that the local runner found.
        """
        self.clear()
        self.install()
        kubectl = self.cluster.kubectl
        kubectl.apply(SURVEY.read_text())
        tell("the survey runs: some minutes")
        kubectl.wait("measurement/demo", "condition=Complete", _SURVEY_SECONDS)
        kinds = "measurements,agents,targetlists,rounds"
        tell(kubectl.run("get", kinds, "--all-namespaces").strip())
        self.compare()

    def clear(self) -> None:
        """Removes an earlier survey, and its agents with their images."""
        kubectl = self.cluster.kubectl
        if "agents.anabranch.dev" in kubectl.run("get", "crds", "--output=name"):
            kubectl.run("delete", "--ignore-not-found", f"--filename={SURVEY}")

    def helm(self, *words: str) -> None:
        """Has Helm do something in the system namespace, and waits until it is done."""
        run_tool(
            build(HELM),
            f"--kubeconfig={self.cluster.layout.kubeconfig}",
            *(*words, f"--namespace={SYSTEM}"),
            *("--wait", f"--timeout={_INSTALL_SECONDS}s"),
        )

    def install(self, *options: str, chart: Path = CHART) -> None:
        """Brings the operator up to date; ``options`` are more of helm's."""
        tell(f"installing the chart into {SYSTEM}")
        install = (
            "upgrade",
            "--install",
            "anabranch",
            str(chart),
            "--create-namespace",
        )
        self.helm(*install, f"--values={VALUES}", *options)
        # Images have the same tag, whatever is in them.
        operator = "deployment/anabranch-operator"
        self.system.run("rollout", "restart", operator)
        self.system.run("rollout", "status", operator, f"--timeout={_INSTALL_SECONDS}s")

    def wait_agents(self) -> None:
        """Waits until all agents can probe."""
        ready = ("--all", "--for=condition=Ready", f"--timeout={_AGENTS_SECONDS}s")
        self.system.run("wait", "agents", *ready)

    def compare(self) -> None:
        """Compares the links that are in the store with those of the local runner.

        Raises:
            RuntimeError: When there are others.
        """
        status = self.cluster.kubectl.get("measurement/demo")["status"]
        found = self.read_links(status)
        with LINKS.open() as lines:
            known = {_name_link(row) for row in csv.DictReader(lines)}
        if found != known:
            raise RuntimeError(
                f"{LINKS} has {len(known - found)} links that were not found, and "
                f"lacks {len(found - known)} that were: where the machine is so busy "
                "that it loses replies, run make demo-k8s again"
            )
        tell(f"they are the {len(known):,} links of make demo")

    def read_links(self, status: Mapping[str, Any]) -> set[tuple[str, str]]:
        """The links that the status of a Measurement says the place of."""
        (uri,) = (each["uri"] for each in status["results"] if each["name"] == "links")
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with self.connect() as s3:
            content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        rows = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        return {_name_link(row) for row in rows}

    @contextlib.contextmanager
    def connect(self) -> Iterator[S3Client]:
        """A client of the embedded store, as anyone with kubectl may have one."""
        secret = self.system.get("secret/anabranch-store")["data"]
        keys = {name: base64.b64decode(text).decode() for name, text in secret.items()}
        (port,) = find_free_ports(1)
        forward = self.system.list_words(
            "port-forward", "service/anabranch-store", f"{port}:7070"
        )
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            with run_program(forward, log):
                wait_until(
                    "the store's port",
                    lambda: "Forwarding from" in log.read_text(),
                    _FORWARD_SECONDS,
                )
                yield boto3.client(
                    "s3",
                    endpoint_url=f"http://127.0.0.1:{port}",
                    aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
                    region_name=keys["AWS_DEFAULT_REGION"],
                )


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser(prog="devcluster.demo", description=__doc__)
    parser.add_argument("--number", type=int, default=0, help="which cluster; 0")
    number = parser.parse_args().number
    cluster = Cluster.find(number)
    if cluster is None:
        tell(f"cluster {number} does not run: make cluster-up NUMBER={number}")
        return 1
    try:
        Demo(cluster).run()
    except (OSError, RuntimeError) as error:
        tell(f"devcluster: {error}")
        return 1
    return 0


def _name_link(row: Mapping[str, str]) -> tuple[str, str]:
    return row["near_addr"], row["far_addr"]


if __name__ == "__main__":
    sys.exit(main())
