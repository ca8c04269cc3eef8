"""What each agent has to do in a measurement."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.api import Measurement
from anabranch.api.manifest import ManifestError
from anabranch.local.assignment import (
    RunError,
    assign_all,
    find_network,
    start_or_resume,
)
from anabranch.local.manifest import load_manifests
from anabranch.store.directory import DirectoryStore
from surveying import write_manifests

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.runs.assignment import Assignment

TARGETS = ["240.0.0.0/20,udp,1,32,6"]


def load(file: Path) -> list[Assignment]:
    """The assignments of the measurement in a file."""
    manifests = load_manifests([str(file)], lambda: sys.stdin.buffer)
    (document,) = manifests.of_kind(Measurement)
    return list(assign_all(manifests, document))


def change(file: Path, kind: str, **spec: Any) -> Path:
    """The same file, with another spec of one kind."""
    documents = list(yaml.safe_load_all(file.read_text()))
    for document in documents:
        if document["kind"] == kind:
            document["spec"] |= spec
    file.write_text(yaml.safe_dump_all(documents))
    return file


@pytest.mark.parametrize(
    ("agent", "entry", "policy", "rate"),
    [
        (500, {}, {}, 500),
        (500, {"probingRate": 70}, {}, 70),
        (500, {}, {"maxRate": 9}, 9),
    ],
)
def test_the_lowest_of_all_rates_is_the_rate(
    agent: int, entry: dict[str, int], policy: dict[str, int], rate: int, tmp_path: Path
) -> None:
    """Of agent, measurement and policy."""
    entries = [{"name": "agent1", "targetList": "list"} | entry]
    file = write_manifests(
        tmp_path, TARGETS, agent={"maxProbingRate": agent}, agents=entries
    )
    (assignment,) = load(change(file, "ProbingPolicy", **policy))
    assert assignment.record.rate == rate


def test_an_agent_takes_its_own_parameters_instead_of_the_tools(tmp_path: Path) -> None:
    """Another mapper's kwargs do not stay behind."""
    tool = {"initialSourcePort": 30000, "flowMapperKwargs": {"seed": 7}}
    own = {"flowMapper": "IntervalFlowMapper", "destinationPort": 33500}
    entries = [{"name": "agent1", "targetList": "list", "parameters": own}]
    file = write_manifests(
        tmp_path, TARGETS, tool={"diamondMiner": tool}, agents=entries
    )
    (assignment,) = load(file)
    parameters = assignment.parameters
    assert parameters.initial_source_port == 30000
    assert parameters.destination_port == 33500
    assert parameters.flow_mapper == "IntervalFlowMapper"
    assert parameters.flow_mapper_kwargs is None
    plan = assignment.write_targets(tmp_path / "targets.parquet")
    assert plan.units == 16 * 32 * 6


@pytest.mark.parametrize(
    ("tool", "probes"),
    [
        ({"diamondMiner": {}}, 16 * 28 * 6),
        ({"yarrp": {}}, 16 * 28 * 6),
        ({"ping": {}}, 4096 * 6),
        ({"ping": {"repetitions": 10}}, 4096 * 10),
    ],
)
def test_what_a_run_begins_with_is_counted(
    tool: dict[str, Any], probes: int, tmp_path: Path
) -> None:
    """Within the agent's TTLs; ping's at one TTL to each address."""
    targets = [f"240.0.0.0/20,{'icmp' if 'ping' in tool else 'udp'},1,32,6"]
    file = write_manifests(tmp_path, targets, tool=tool, agent={"minTtl": 5})
    assert load(file)[0].count_units(tmp_path / "targets.parquet") == probes


def test_private_addresses_count_where_reserved_space_may_be_probed(
    tmp_path: Path,
) -> None:
    """By agent and policy; elsewhere they are passed over, as diamond-miner does."""
    targets = ["192.31.7.0/24,udp,1,32,6"]
    file = write_manifests(tmp_path, targets)
    change(file, "ProbingPolicy", allow=["192.31.7.0/24"])
    assert not load(file)[0].record.drop_private
    assert load(change(file, "Agent", allowReserved=False))[0].record.drop_private


def test_a_node_is_this_machine_or_a_namespace_of_it(tmp_path: Path) -> None:
    """Else the refusal says how to make it one."""
    file = write_manifests(tmp_path, TARGETS, agent={"nodeName": "localhost"})
    assert find_network(load(file)[0].record.agent) is None
    (nowhere,) = load(change(file, "Agent", nodeName="no-such-node"))
    with pytest.raises(RunError, match="ip netns add no-such-node"):
        find_network(nowhere.record.agent)


def test_a_list_that_is_not_here_is_told(tmp_path: Path) -> None:
    """Lists in an object store are for clusters."""
    file = write_manifests(tmp_path, TARGETS)
    documents = list(yaml.safe_load_all(file.read_text()))
    documents[1]["spec"] = {"object": {"key": "lists/all.csv"}}
    file.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(ManifestError, match="its content is not here"):
        load(file)


def test_a_run_is_what_it_was_started_as(tmp_path: Path) -> None:
    """Rates may fall and deadlines change; all else takes another runId."""
    file = write_manifests(tmp_path, TARGETS)
    store, scratch = DirectoryStore(tmp_path / "data"), tmp_path / "scratch"
    scratch.mkdir()
    start_or_resume(load(file)[0], store, scratch)
    (longer,) = load(change(file, "Measurement", activeDeadlineSeconds=60))
    start_or_resume(longer, store, scratch)
    (other,) = load(change(file, "Measurement", maxRounds=3))
    with pytest.raises(RunError, match=r"Agent 'agent1': .*set a new runId"):
        start_or_resume(other, store, scratch)
    change(file, "Measurement", maxRounds=10)
    (moved,) = load(change(file, "Agent", nodeName="elsewhere", minTtl=3))
    with pytest.raises(RunError, match="another node_name, min_ttl of the agent; set"):
        start_or_resume(moved, store, scratch)
    (again,) = load(change(file, "Measurement", runId="2"))
    start_or_resume(again, store, scratch)
    assert list(scratch.iterdir()) == []


def test_agents_without_a_ttl_in_common_are_no_team(tmp_path: Path) -> None:
    """It is told which entry is wrong, and what to do."""
    entries = [
        {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
    ]
    file = write_manifests(tmp_path, TARGETS, points=2, agents=entries)
    documents = list(yaml.safe_load_all(file.read_text()))
    ttls = iter([{"minTtl": 30}, {"maxTtl": 10}])
    for document in documents:
        if document["kind"] == "Agent":
            document["spec"] |= next(ttls)
    file.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(ManifestError, match="share no TTL"):
        load(file)
