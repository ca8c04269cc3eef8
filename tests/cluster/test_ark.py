"""The example of cycles as CAIDA's Ark makes them, on a real cluster."""

from __future__ import annotations

import gzip
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from devcluster.process import wait_until
from examples import EXAMPLES

if TYPE_CHECKING:
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl

CYCLES = 2
SECONDS = 300
TARGETS = {
    str(network)
    for route in ("240.0.0.0/21", "240.0.8.0/21", "240.0.16.0/20")
    for network in ip_network(route).subnets(new_prefix=24)
}
"""What the example's table routes."""


def write_example() -> str:
    """The example's Survey for the agents that there are, without Ark's long waits."""
    documents = []
    for each in yaml.safe_load_all((EXAMPLES / "survey-ark.yaml").read_text()):
        if each["kind"] in {"Agent", "ProbingPolicy"}:
            continue
        if each["kind"] == "Survey":
            spec = each["spec"]["measurementTemplate"]["spec"]
            spec["trace"]["waitSeconds"] = 1
            (entry,) = spec["agents"]
            entry["selector"]["matchLabels"] = {"team": "tests"}
        documents.append(each)
    return yaml.safe_dump_all(documents)


def list_complete(kubectl: Kubectl) -> list[dict[str, Any]]:
    """The Measurements of the cycles that are complete, in their order."""
    found = kubectl.get("measurements")["items"]
    return sorted(
        (
            each
            for each in found
            for condition in each.get("status", {}).get("conditions", [])
            if (condition["type"], condition["status"]) == ("Complete", "True")
        ),
        key=lambda each: str(each["metadata"]["name"]),
    )


def read_destinations(demo: Demo, cycle: dict[str, Any], folder: Path) -> list[str]:
    """The destination of each trace in Ark's files of a cycle, by sc_analysis_dump."""
    places = {each["name"]: each["uri"] for each in cycle["status"]["results"]}
    bucket, _, prefix = places["ark"].removeprefix("s3://").partition("/")
    destinations = []
    with demo.connect() as s3:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
        for key in (each["Key"] for each in listed):
            if not key.endswith(".warts.gz"):
                continue
            file = folder / Path(key).stem
            packed = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            file.write_bytes(gzip.decompress(packed))
            told = subprocess.run(
                ["sc_analysis_dump", file], capture_output=True, text=True, check=True
            )
            destinations += [
                line.split("\t")[2]
                for line in told.stdout.splitlines()
                if not line.startswith("#")
            ]
    return destinations


def test_each_cycle_traces_each_routed_network_once(
    installed: Demo, kubectl: Kubectl, tmp_path: Path
) -> None:
    """By one agent of the team, at another address than in the cycle before."""
    installed.wait_agents()
    kubectl.apply(write_example())
    wait_until("two cycles", lambda: len(list_complete(kubectl)) >= CYCLES, SECONDS)
    kubectl.run(
        "patch", "survey", "ark", "--type=merge", '--patch={"spec":{"suspend":true}}'
    )
    traced = []
    for number, cycle in enumerate(list_complete(kubectl)[:CYCLES]):
        folder = tmp_path / str(number)
        folder.mkdir()
        destinations = read_destinations(installed, cycle, folder)
        networks = [
            str(ip_network(f"{each}/24", strict=False)) for each in destinations
        ]
        assert sorted(networks) == sorted(TARGETS)
        traced.append(set(destinations))
    first, second = traced
    assert len(first & second) < len(TARGETS) / 4
