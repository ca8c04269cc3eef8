"""Measurements of Iris as manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from anabranch.api import Measurement, TargetList
from anabranch.api.manifest import Source, read_manifests
from anabranch.api.selector import LabelSelector
from anabranch.local.iris import draft_from_iris

UUID = "ddd8541d-b4f5-42ce-b163-e3e9bfcd0a47"


def ask(tool: str = "diamond-miner", **agent: Any) -> dict[str, Any]:
    """What asks for a measurement of one agent."""
    entry = {"target_file": "prefixes.csv", **agent}
    if "tag" not in entry:
        entry.setdefault("uuid", UUID)
    return {"tool": tool, "agents": [entry], "tags": ["test"]}


def draft(asked: object) -> tuple[Measurement, list[TargetList]]:
    """What it becomes."""
    text = draft_from_iris(json.dumps(asked).encode())
    manifests = read_manifests([Source("iris", text.encode())])
    assert manifests.broken == ()
    (measurement,) = manifests.of_kind(Measurement)
    lists = manifests.of_kind(TargetList)
    return measurement.object, [each.object for each in lists]


def test_what_is_asked_for_is_asked_for_here() -> None:
    """Agents, rates, lists, and the parameters of the tool."""
    asked = ask(
        probing_rate=500,
        batch_size=128,
        tool_parameters={
            "max_round": 7,
            "failure_probability": 0.1,
            "destination_port": 53,
            "flow_mapper": "IntervalFlowMapper",
            "flow_mapper_kwargs": {"step": 7},
        },
    )
    measurement, (targets,) = draft(asked)
    spec = measurement.spec
    assert (spec.max_rounds, spec.failure_probability) == (7, 0.1)
    assert spec.diamond_miner
    assert spec.diamond_miner.destination_port == 53
    assert spec.diamond_miner.flow_mapper_kwargs
    assert spec.diamond_miner.flow_mapper_kwargs.step == 7
    (entry,) = spec.agents
    assert (entry.name, entry.selector, entry.probing_rate) == (UUID, None, 500)
    assert entry.target_list == targets.metadata.name == "prefixes"
    assert targets.spec.file == "prefixes.csv"


def test_what_is_usual_in_iris_is_usual_here() -> None:
    """So a manifest says nothing of it."""
    text = draft_from_iris(json.dumps(ask()).encode())
    *_, measurement = yaml.safe_load_all(text)
    assert text.startswith('# Of a measurement of Iris, whose tags were: "test".\n')
    assert measurement["spec"]["diamondMiner"] == {"flowMapperKwargs": {"seed": 42}}
    assert measurement["spec"].keys() == {"diamondMiner", "agents"}


def test_an_answer_of_its_api_is_read_as_well() -> None:
    """With what it knows of agents, and all parameters."""
    asked = ask("yarrp", uuid=None, agent_uuid=UUID.upper(), state="finished")
    asked |= {"uuid": "23ec99b5-f259-4732-b121-d012b686e37a", "state": "finished"}
    asked["agents"][0]["agent_parameters"] = {"hostname": "paris", "min_ttl": 2}
    asked["agents"][0]["tool_parameters"] = {
        "prefix_len_v4": 32,
        "prefix_len_v6": 128,
        "global_min_ttl": 2,
        "global_max_ttl": 32,
    }
    measurement, _ = draft(asked)
    assert measurement.metadata.name == asked["uuid"]
    assert measurement.spec.agents[0].name == UUID
    assert measurement.spec.yarrp
    assert measurement.spec.yarrp.prefix_len_v4 == 32
    assert measurement.spec.yarrp.prefix_len_v6 == 128


@pytest.mark.parametrize(
    ("tag", "labels"),
    [("all", {}), ("edge", {"edge": ""}), ("region:europe", {"region": "europe"})],
)
def test_tags_of_agents_are_labels(tag: str, labels: dict[str, str]) -> None:
    """And that of all agents selects all."""
    measurement, _ = draft(ask("ping", tag=tag))
    (entry,) = measurement.spec.agents
    assert entry.selector == LabelSelector(match_labels=labels)


def test_agents_have_their_own_flows_and_lists() -> None:
    """Two files of one name, but for their ends, are two lists."""
    asked = ask()
    asked["agents"].append(
        {
            "tag": "edge",
            "target_file": "prefixes.csv.zst",
            "tool_parameters": {"initial_source_port": 25000},
        }
    )
    measurement, lists = draft(asked)
    first, second = measurement.spec.agents
    assert first.parameters is None
    assert second.parameters
    assert second.parameters.initial_source_port == 25000
    assert {(each.metadata.name, each.spec.file) for each in lists} == {
        (first.target_list, "prefixes.csv"),
        (second.target_list, "prefixes.csv.zst"),
    }


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("{", "Invalid JSON"),
        ([], "Input should be an object"),
        ({"tool": "yarrp"}, "agents: Field required"),
        (ask("probes"), 'tool: there is no "probes" here, only diamond-miner, yarrp'),
        ({"tool": "yarrp", "agents": []}, "agents: names no agent; add one"),
        (ask(uuid=None), "agents[0]: give exactly one of uuid and tag"),
        (ask(uuid=UUID, tag="edge"), "agents[0]: give exactly one of uuid and tag"),
        (
            ask(tool_parameters={"max_round": "5"}),
            "agents[0].tool_parameters.max_round: Input should be a valid integer",
        ),
        (
            ask(tool_parameters={"max_round": 300}),
            "Measurement: spec.maxRounds: must be less than or equal to 255, not 300",
        ),
        (ask(tag="a tag"), 'agents[0].tag: "a tag" can\'t be a label; give another'),
        (
            ask() | {"agents": ask()["agents"] * 2},
            "Measurement: spec.agents",
        ),
        (
            {
                "tool": "diamond-miner",
                "agents": [
                    ask()["agents"][0],
                    ask(tag="b", tool_parameters={"max_round": 5})["agents"][0],
                ],
            },
            "agents[1].tool_parameters.max_round: is 5, and 10 of the first agent",
        ),
    ],
)
def test_what_can_not_be_is_refused(asked: object, told: str) -> None:
    """With the field and the remedy."""
    content = asked if isinstance(asked, str) else json.dumps(asked)
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the text is what counts)
        draft_from_iris(content.encode())
    assert told in str(error.value)
