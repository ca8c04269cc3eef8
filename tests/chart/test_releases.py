"""What was released goes on to work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.api import KINDS
from anabranch.api.schema import build_crd
from helm import CONTACT, render

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASES = sorted((Path(__file__).parent / "releases").iterdir())


def list_fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """The path and type of each field of a schema."""
    yield path, schema.get("type", "")
    for name, field in schema.get("properties", {}).items():
        yield from list_fields(field, f"{path}.{name}")
    if "items" in schema:
        yield from list_fields(schema["items"], f"{path}[]")


def read_fields(crd: dict[str, Any]) -> set[tuple[str, str]]:
    """The fields of the one version of a definition."""
    (version,) = crd["spec"]["versions"]
    assert version["name"] == "v1alpha1"
    return set(list_fields(version["schema"]["openAPIV3Schema"]))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_no_field_was_taken_away(release: Path) -> None:
    """A version has no conversion: objects of a release are good for ever."""
    crds = {
        crd["spec"]["names"]["kind"]: crd
        for crd in yaml.safe_load_all((release / "crds.yaml").read_text())
    }
    kinds = {kind.__name__: kind for kind in KINDS}
    assert crds.keys() <= kinds.keys()
    for name, before in crds.items():
        now = build_crd(kinds[name])
        assert read_fields(before) - read_fields(now) == set()


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_no_object_of_the_chart_changed_its_name(release: Path) -> None:
    """Else an upgrade would make another one beside it: a second store, for one."""
    rendered = yaml.safe_load_all((release / "rendered.yaml").read_text())
    before = {(each["kind"], each["metadata"]["name"]) for each in rendered if each}
    now = {(each["kind"], each["metadata"]["name"]) for each in render(CONTACT).objects}
    assert before - now == set()
