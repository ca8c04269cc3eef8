"""What the JSON of a measurement of Iris asks for, as manifests."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from anabranch.api import Measurement, TargetList
from anabranch.api.model import find_errors
from anabranch.api.report import explain, show_path, show_value
from anabranch.api.resource import API_VERSION, Resource
from anabranch.api.text import LabelName, LabelValue

_TOOLS = {"diamond-miner": "diamondMiner", "yarrp": "yarrp", "ping": "ping"}
"""Our tools, by the names that Iris has for them."""
_FLOWS = ("initialSourcePort", "destinationPort", "flowMapper", "flowMapperKwargs")
"""The parameters that an entry of a Measurement may have for itself."""
_LENGTHS = ("prefixLenV4", "prefixLenV6")
_FOR_ALL = {"max_round": "maxRounds", "failure_probability": "failureProbability"}
"""The parameters that a Measurement has, and each agent in Iris."""
_EVERYONE = "all"
"""The tag that all agents have."""
_LABEL = TypeAdapter[tuple[str, str]](tuple[LabelName, LabelValue])
"""What a label's name and value may be."""


class _Part(BaseModel):
    """A part of Iris's JSON; what its API adds to an answer is passed over."""

    model_config = ConfigDict(frozen=True, strict=True)


class _Parameters(_Part):
    """``tool_parameters``, with Iris's defaults."""

    initial_source_port: int = 24000
    destination_port: int = 33434
    max_round: int = 10
    failure_probability: float = 0.05
    flow_mapper: str = "RandomFlowMapper"
    flow_mapper_kwargs: dict[str, int] | None = {"seed": 42}
    prefix_len_v4: int = 24
    prefix_len_v6: int = 64


class _Agent(_Part):
    """An entry of ``agents``: as it is asked for, or as an answer has it."""

    uuid: str | None = None
    agent_uuid: str | None = None
    tag: str | None = None
    target_file: str
    probing_rate: int | None = None
    tool_parameters: _Parameters = _Parameters()


class _Asked(_Part):
    """A measurement."""

    uuid: str | None = None
    tool: str
    tags: tuple[str, ...] = ()
    agents: tuple[_Agent, ...]


def draft_from_iris(content: bytes) -> str:
    """Return the manifests of a Measurement and its TargetLists, as YAML.

    ``content`` is the JSON that asks Iris for a measurement, or with which its API
    answers. Agents are named by their UUIDs, or selected by their tags as labels.

    Raises:
        ValueError: If it is no such JSON, or asks for what a Measurement can't be; with
            the field and the remedy.
    """
    try:
        asked = _Asked.model_validate_json(content)
    except ValidationError as error:
        details = error.errors()[0]
        raise ValueError(_tell(details["loc"], details["msg"])) from error
    if asked.tool not in _TOOLS:
        message = f"there is no {show_value(asked.tool)} here, only {', '.join(_TOOLS)}"
        raise ValueError(_tell(("tool",), message))
    if not asked.agents:
        raise ValueError(_tell(("agents",), "names no agent; add one"))
    names = _name_files(asked.agents)
    objects: list[Resource] = [
        _read(TargetList, name, {"file": file}) for file, name in names.items()
    ]
    name = asked.uuid or "iris"
    objects.append(_read(Measurement, name, _specify(asked, names)))
    tags = ", ".join(map(show_value, asked.tags)) or "none"
    return f"# Of a measurement of Iris, whose tags were: {tags}.\n" + "---\n".join(
        yaml.safe_dump(
            {
                "apiVersion": API_VERSION,
                "kind": type(each).__name__,
                "metadata": {"name": each.metadata.name},
                "spec": each.model_dump(
                    mode="json", by_alias=True, exclude_defaults=True
                )["spec"],
            },
            sort_keys=False,
        )
        for each in objects
    )


def _specify(asked: _Asked, lists: dict[str, str]) -> dict[str, Any]:
    """Return the spec of the Measurement."""
    first = asked.agents[0].tool_parameters
    for place, agent in enumerate(asked.agents):
        for field in (*_FOR_ALL, "prefix_len_v4", "prefix_len_v6"):
            given = getattr(agent.tool_parameters, field)
            if given != getattr(first, field):
                raise ValueError(
                    _tell(
                        ("agents", place, "tool_parameters", field),
                        f"is {given}, and {getattr(first, field)} of the first agent; "
                        "a Measurement has one for all: ask for two measurements",
                    )
                )
    flows = _choose_flows(first)
    tool = flows if asked.tool == "ping" else flows | _choose_lengths(first)
    entries = [
        {
            **_choose_agents(agent, place),
            "targetList": lists[agent.target_file],
            **({"probingRate": agent.probing_rate} if agent.probing_rate else {}),
            **_override(flows, _choose_flows(agent.tool_parameters)),
        }
        for place, agent in enumerate(asked.agents)
    ]
    return {
        _TOOLS[asked.tool]: tool,
        **{ours: getattr(first, theirs) for theirs, ours in _FOR_ALL.items()},
        "agents": entries,
    }


def _choose_flows(given: _Parameters) -> dict[str, Any]:
    values = (
        *(given.initial_source_port, given.destination_port, given.flow_mapper),
        given.flow_mapper_kwargs,
    )
    return dict(zip(_FLOWS, values, strict=True))


def _choose_lengths(given: _Parameters) -> dict[str, int]:
    return dict(zip(_LENGTHS, (given.prefix_len_v4, given.prefix_len_v6), strict=True))


def _override(flows: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's own parameters of flows, if it has any."""
    return {} if wanted == flows else {"parameters": wanted}


def _choose_agents(agent: _Agent, place: int) -> dict[str, Any]:
    """Return the name of an entry, and how it selects agents."""
    uuid = agent.uuid or agent.agent_uuid
    if bool(uuid) == bool(agent.tag):
        raise ValueError(_tell(("agents", place), "give exactly one of uuid and tag"))
    if uuid:
        return {"name": uuid.lower()}
    tag = agent.tag or ""
    key, _, value = tag.partition(":")
    try:
        _LABEL.validate_python((key, value))
    except ValidationError as error:
        message = f"{show_value(tag)} can't be a label; give another one"
        raise ValueError(_tell(("agents", place, "tag"), message)) from error
    labels = {} if tag == _EVERYONE else {"matchLabels": {key: value}}
    return {"name": _make_name(tag), "selector": labels}


def _name_files(agents: tuple[_Agent, ...]) -> dict[str, str]:
    """Return the name of a TargetList for each file."""
    names: dict[str, str] = {}
    for agent in agents:
        name = _make_name(agent.target_file.split(".")[0])
        if agent.target_file not in names and name in names.values():
            name = f"{name}-{len(names) + 1}"
        names.setdefault(agent.target_file, name)
    return names


def _make_name(text: str) -> str:
    """Return a text as the name of an object, as near as that may be."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-") or "targets"


def _read(kind: type[Resource], name: str, spec: dict[str, Any]) -> Resource:
    """Return an object.

    Raises:
        ValueError: If it can't be one, with its field and the remedy.
    """
    body = {
        "apiVersion": API_VERSION,
        "kind": kind.__name__,
        "metadata": {"name": name},
        "spec": spec,
    }
    try:
        return kind.read(body)
    except ValidationError as error:
        details = find_errors(error)[0]
        where = f"{kind.__name__}: {show_path(details['loc'])}"
        raise ValueError(f"{where}: {explain(details, kind)}") from error


def _tell(path: tuple[str | int, ...], message: str) -> str:
    return f"{show_path(path)}: {message}" if path else message
