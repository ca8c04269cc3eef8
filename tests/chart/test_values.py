from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from helm import CHART, CONTACT, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.mark.parametrize("contact", ["", "the team", "zoë@example.org"])
def test_a_policy_needs_a_contact(contact: str) -> None:
    """Whoever installs it is told what to set, and why."""
    with pytest.raises(RuntimeError, match=r"policy\.contact names nobody: say who"):
        render({"policy": {"contact": contact}})


def test_two_stores_are_one_too_many() -> None:
    """An endpoint beside the embedded store is refused, with both remedies."""
    values = {"store": {"endpoint": "https://s3.example.org"}}
    with pytest.raises(RuntimeError, match=r"store\.embedded\.enabled=false"):
        render(CONTACT, values)


def test_agents_must_reach_the_store_through_network_policies() -> None:
    """No selector finds them, so somebody has to give the nodes' addresses."""
    with pytest.raises(RuntimeError, match=r"storeClients is empty.*addresses"):
        render(CONTACT, {"networkPolicy": {"enabled": True}})


def test_two_priority_classes_are_one_too_many() -> None:
    """One is made or one is named."""
    values = {"agents": {"priorityClass": {"create": True}, "priorityClassName": "x"}}
    with pytest.raises(RuntimeError, match="set one of them"):
        render(CONTACT, values)


@pytest.mark.parametrize("of", ["operator", "jobs", "agents", "store.embedded"])
@pytest.mark.parametrize(
    "name", ["app.kubernetes.io/managed-by", "anabranch.dev/agent"]
)
def test_labels_that_pods_are_found_by_are_not_to_be_chosen(of: str, name: str) -> None:
    """Else a pod would be taken for another one, and ended with it."""
    values: dict[str, Any] = {"podLabels": {name: "mine"}}
    for part in reversed(of.split(".")):
        values = {part: values}
    with pytest.raises(RuntimeError, match=rf"{of}\.podLabels has {name}: .* another"):
        render(CONTACT, values)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"watchNamespace": ["default"]}, "watchNamespace"),
        ({"watchNamespaces": ["Default"]}, "watchNamespaces/0"),
        ({"policy": {"contact": f"@{'x' * 64}"}}, "policy/contact"),
        ({"policy": {"allow": None}}, "allow"),
        ({"policy": {"allow": "0.0.0.0/0"}}, "policy/allow"),
        ({"policy": {"allow": ["example.org"]}}, "policy/allow/0"),
        ({"policy": {"maxRate": 0}}, "policy/maxRate"),
        ({"policy": {"stop": True}}, "stop"),
        ({"store": {"bucket": "A"}}, "store/bucket"),
        ({"store": {"endpoint": "s3.example.org"}}, "store/endpoint"),
        ({"store": {"embedded": {"size": 20}}}, "embedded/size"),
        ({"clickhouse": {"url": "clickhouse:8123"}}, "clickhouse/url"),
        ({"clickhouse": {"url": "http://me:x@clickhouse:8123"}}, "clickhouse/url"),
        ({"clickhouse": {"database": "a`b"}}, "clickhouse/database"),
        ({"clickhouse": {"password": "x"}}, "password"),
        ({"retention": {"olderThan": "90"}}, "retention/olderThan"),
        ({"retention": {"olderThan": 90}}, "retention/olderThan"),
        ({"retention": {"keepSize": "1TB"}}, "retention/keepSize"),
        ({"retention": {"schedule": "daily"}}, "retention/schedule"),
        ({"retention": {"maxAge": "90d"}}, "maxAge"),
        ({"caBundle": {"configMap": "Company"}}, "caBundle/configMap"),
        ({"caBundle": {"key": "a/b"}}, "caBundle/key"),
        ({"caBundle": {"secret": "company"}}, "secret"),
        ({"operator": {"podLabels": {"team": 1}}}, "operator/podLabels/team"),
        ({"agents": {"podLabels": {"team": "a b"}}}, "agents/podLabels/team"),
        ({"jobs": {"podLabels": {"a b": "c"}}}, "'a b'"),
        ({"jobs": {"podAnnotations": {"a": True}}}, "jobs/podAnnotations/a"),
        ({"operator": {"replicas": 0}}, "operator/replicas"),
        ({"operator": {"image": {"pullPolicy": "Often"}}}, "pullPolicy"),
        ({"agents": {"resources": {"limits": {"cpu": 1}}}}, "limits/cpu"),
        ({"agents": {"healthPort": 70000}}, "agents/healthPort"),
        ({"agents": {"image": {"digest": "sha256:1"}}}, "image/digest"),
        ({"jobs": {"tolerations": [{"effect": "Never"}]}}, "tolerations/0/effect"),
        ({"networkPolicy": {"scrapers": [{"pods": {}}]}}, "scrapers/0"),
        ({"agents": {"enrol": {"spec": {"nodeName": "n1"}}}}, "nodeName"),
    ],
    ids=str,
)
def test_wrong_values_are_refused(values: Mapping[str, Any], place: str) -> None:
    """Helm says which value is wrong before anything reaches the cluster."""
    with pytest.raises(RuntimeError, match="don't meet the specifications") as error:
        render(CONTACT, values)
    told = str(error.value).replace(".", "/")
    assert place in told


def test_a_value_that_nobody_knows_is_refused_wherever_it_is() -> None:
    """But where the words are Kubernetes', or those of a chart that has this one."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = schema["definitions"]
    for path, part, value in walk(schema, values, known):
        if part.get("properties") and path != "agents.enrol.spec":
            assert part["additionalProperties"] is False, path
            assert value.keys() <= part["properties"].keys(), path


def walk(
    schema: Mapping[str, Any],
    value: Mapping[str, Any],
    known: Mapping[str, Any],
    path: str = "",
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Each object of the values, with what the schema has of it."""
    if reference := schema.get("$ref"):
        schema = known[reference.removeprefix("#/definitions/")]
    yield path, schema, value
    for name, inner in value.items():
        if isinstance(inner, dict) and name in schema.get("properties", {}):
            place = f"{path}.{name}".removeprefix(".")
            yield from walk(schema["properties"][name], inner, known, place)
