"""What examples/gitops has."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.api import KINDS
from devcluster.process import run_tool
from gitops.kustomize import render
from gitops.verdicts import EXAMPLES
from helm import render as render_chart

OVERLAYS = sorted((EXAMPLES / "overlays").iterdir())
FOLDERS = [
    *OVERLAYS,
    *(EXAMPLES / "argocd", EXAMPLES / "argocd" / "health"),
    *(EXAMPLES / "flux", EXAMPLES / "flux" / "operator"),
]
ROOT = EXAMPLES.parents[1]


if TYPE_CHECKING:
    from collections.abc import Iterator


def find_paths(node: Any) -> Iterator[str]:
    """Paths of the repository that objects of Flux and Argo CD name."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in {"path", "chart"} and isinstance(value, str):
                yield value
            elif name in {"valueFiles", "valuesFiles"}:
                yield from (each.removeprefix("$values/") for each in value)
            else:
                yield from find_paths(value)
    elif isinstance(node, list):
        for each in node:
            yield from find_paths(each)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_an_overlay_can_do_what_it_is_for(overlay: Path) -> None:
    """Its survey has agents that may probe its targets."""
    own = {kind.__name__ for kind in KINDS}
    found = [each for each in render(overlay) if each["kind"] in own]
    assert {each["kind"] for each in found} == own - {"Round"}
    command = Path(sys.executable).with_name("anabranch")
    run_tool(command, "validate", "-", stdin=yaml.safe_dump_all(found))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_what_is_named_is_there(folder: Path) -> None:
    """Charts, values and overlays are where Flux and Argo CD look for them."""
    objects = render(folder)
    assert objects
    for path in find_paths([each.get("spec") for each in objects]):
        assert (ROOT / path).exists(), path


def test_the_chart_leaves_policy_and_secrets_to_git() -> None:
    """Nothing is drawn anew each time, and no hook runs before the end."""
    values = yaml.safe_load((EXAMPLES / "values.yaml").read_text())
    rendered = render_chart(values)
    assert len(rendered.list("CustomResourceDefinition")) == len(KINDS)
    assert not rendered.list("Secret", "ProbingPolicy")
    for job in rendered.list("Job"):
        when = job["metadata"]["annotations"]["helm.sh/hook"]
        assert when in {"pre-delete", "post-delete"}
    store = values["store"]
    assert rendered.settings["store"]["secret"] == store["existingSecret"]
