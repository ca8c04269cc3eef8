"""Surveys of random addresses of what networks route, on real packets."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml
from anabranch_engine import Plan, PrefixSet, TraceParameters

from onesurvey import open_run
from probing import command as probe
from probing import write_plan
from surveying import survey, write_manifests
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """\
0.0.0.0\t0\t1
240.0.0.0\t19\t2
240.0.4.0\t24\t3_4
240.0.4.0\t26\t3_4
"""
EXCLUDED = ["240.0.3.0/25", "240.0.5.0/24"]
TOOL = {"trace": {"preset": "ark", "prefixLenV4": 24, "randomDestination": {}}}


def write_routed(folder: Path, **spec: Any) -> Path:
    """The manifests of a survey of a table of routes."""
    file = write_manifests(folder, [], tool=TOOL, **spec)
    (folder / "table.txt").write_text(TABLE)
    documents = list(yaml.safe_load_all(file.read_text()))
    for document in documents:
        if document["kind"] == "TargetList":
            routes = {"file": "table.txt", "allowReserved": True, "protocol": "icmp"}
            document["spec"] = {"routes": routes}
        if document["kind"] == "ProbingPolicy":
            document["spec"]["exclusions"] = EXCLUDED
    file.write_text(yaml.safe_dump_all(documents))
    return file


def read_parts(folder: Path) -> set[IPv6Address]:
    """The destinations of the parts in a folder, IPv4 as IPv4-mapped addresses."""
    found = set()
    for part in folder.rglob("*.parquet"):
        column = pq.read_table(part).column("probe_dst_addr")
        found |= {IPv6Address(packed) for packed in column.to_pylist()}
    return found


def test_each_run_traces_other_addresses_of_each_24(tmp_path: Path) -> None:
    """None that is excluded; they can be computed again from the plan of the run."""
    world = World(32, 0, switches=ANSWERING)
    traced = []
    for run_id in ("1", "2"):
        data = tmp_path / run_id
        survey(world, write_routed(tmp_path / "m", runId=run_id), data)
        root = data / open_run(data).root
        found = read_parts(root / "001-00" / "replies")
        plan = Plan(root / "targets.parquet")
        drawn = plan.draw(0, order="", forbidden=PrefixSet(EXCLUDED))
        assert found == {map_address(destination) for _, destination, *_ in drawn}
        assert len(found) == 31
        traced.append(found)
    assert not traced[0] & traced[1]
    networks = {ip_network((int(each) & 0xFFFFFF00, 24)) for each in traced[0]}
    assert len(networks) == 31
    assert ip_network("240.0.5.0/24") not in networks
    for address in traced[0] | traced[1]:
        v4 = address.ipv4_mapped
        assert v4
        assert v4.packed[3] not in {0, 255}
        assert v4 not in ip_network("240.0.3.0/25")


def map_address(address: Any) -> IPv6Address:
    """An IPv4 address as an IPv4-mapped one."""
    return IPv6Address(f"::ffff:{address}")


@pytest.mark.parametrize("half", [0, 128])
def test_what_is_excluded_meanwhile_moves_a_destination(
    half: int, tmp_path: Path
) -> None:
    """Within its target, if its trace has not begun."""
    lines = [f"240.0.{i}.0/24,icmp,1,32,1" for i in range(200)]
    tracing = TraceParameters(algorithm="singlePath", failure_probability=0.05)
    plan = write_plan(
        tmp_path / "plan.parquet", lines, tracing=tracing, destination_seed=3
    )
    halves = [f"240.0.{i}.{half}/25" for i in range(200)]
    words = probe(plan, tmp_path / "parts", rate=300, then={"forbidden": halves})
    World(200, 0).run(*words, seconds=120)
    found = read_parts(tmp_path / "parts")
    first = {map_address(address) for _, address, *_ in plan.draw(0, order="test")}
    moved = found - first
    assert moved
    assert all((int(address) & 128) != half for address in moved)
    # Of those that begin later, none is traced in the excluded half.
    kept = [address for address in found if (int(address) & 128) == half]
    assert len(kept) < len(first) / 4
