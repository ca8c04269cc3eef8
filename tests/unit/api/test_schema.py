"""The generated definitions, as files and as promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import yaml
from pydantic import Field

from anabranch.api import KINDS, Agent, ProbingPolicy, Resource, Round, Survey
from anabranch.api.connections import Connections
from anabranch.api.manifest import Source, read_manifests
from anabranch.api.model import Model
from anabranch.api.schema import build_schema, describe
from anabranch.api.tool import Trace
from examples import KIND_EXAMPLES, OURS

ROOT = Path(__file__).parents[3]


def find_properties(schema: dict[str, object]) -> set[str]:
    """The names of all fields in a schema."""
    names: set[str] = set()
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            names |= set(value)
        for part in value.values() if isinstance(value, dict) else ():
            if isinstance(part, dict):
                names |= find_properties(part)
        if isinstance(value, dict):
            names |= find_properties(value)
    return names


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_documented(kind: type[Resource]) -> None:
    """`kubectl explain` has a word for each."""

    def undocumented(schema: dict[str, object], path: str) -> list[str]:
        fields = schema.get("properties", {})
        assert isinstance(fields, dict)
        missing = [
            f"{path}.{n}" for n, field in fields.items() if "description" not in field
        ]
        for name, field in fields.items():
            missing += undocumented(field, f"{path}.{name}")
            missing += undocumented(field.get("items", {}), f"{path}.{name}[]")
        return missing

    root = build_schema(kind)["properties"]
    assert undocumented({"properties": {"spec": root["spec"]}}, "") == []
    assert undocumented({"properties": {"status": root["status"]}}, "") == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_example_of_a_kind_shows_every_field_of_its_spec(
    kind: type[Resource],
) -> None:
    """As a value, or in a comment where a choice excludes it."""
    text = (KIND_EXAMPLES / f"{kind.__name__.lower()}.yaml").read_text()
    fields = find_properties(build_schema(kind)["properties"]["spec"])
    if kind is Survey:
        # A rule refuses them: a cycle ends.
        fields -= {"connections"} | find_properties(describe(Connections))
    if kind is Round:
        # The Measurement's example shows them.
        fields -= find_properties(describe(Connections)) | find_properties(
            describe(Trace)
        )
    assert {name for name in fields if f"{name}:" not in text} == set()


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_examples_are_valid(file: Path) -> None:
    """Each document of each example is an object."""
    manifests = read_manifests([Source(str(file), file.read_bytes())])
    assert manifests.broken == ()
    assert len(manifests.documents) == len(list(yaml.safe_load_all(file.read_text())))


@pytest.mark.parametrize(
    ("kind", "field"), [(ProbingPolicy, "allow"), (Agent, "allowedNamespaces")]
)
def test_lists_that_open_everything_when_absent_are_not_merged(
    kind: type[Resource], field: str
) -> None:
    """Server-side apply leaves out a merged list that becomes empty."""
    properties = build_schema(kind)["properties"]["spec"]["properties"]
    assert "x-kubernetes-list-type" not in properties[field]


def test_what_openapi_can_not_say_is_no_schema() -> None:
    """A model that a definition can't express fails when the definition is made."""

    class Loose(Model):
        value: Annotated[int, Field(multiple_of=2)]

    with pytest.raises(ValueError, match="no structural counterpart"):
        describe(Loose)
