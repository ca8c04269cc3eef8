"""Helm, and our chart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from devcluster.binaries import HELM, build, kubernetes_version
from devcluster.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

CHART = Path(__file__).parents[1] / "charts" / "anabranch"
RELEASE = "anabranch"
NAMESPACE = "anabranch-system"
CONTACT: Mapping[str, Any] = {"policy": {"contact": "https://example.org/survey"}}
"""All that an installation must say."""


def merge(*values: Mapping[str, Any]) -> dict[str, Any]:
    """Values, with those that come later laid over the others, as Helm does it."""
    merged: dict[str, Any] = {}
    for layer in values:
        for name, value in layer.items():
            old = merged.get(name)
            both = isinstance(value, dict) and isinstance(old, dict)
            merged[name] = merge(old or {}, value) if both else value
    return merged


def find_folder(manifest: Mapping[str, Any]) -> str:
    """The path of the objects of a manifest's kind."""
    version, plural = manifest["apiVersion"], manifest["kind"].lower()
    plural = f"{plural[:-1]}ie" if plural.endswith("y") else plural
    plural += "es" if plural.endswith("s") else "s"
    root = "/apis" if "/" in version else "/api"
    if namespace := manifest["metadata"].get("namespace"):
        return f"{root}/{version}/namespaces/{namespace}/{plural}"
    return f"{root}/{version}/{plural}"


@dataclass(frozen=True)
class Rendered:
    """What Helm makes of the chart."""

    objects: tuple[dict[str, Any], ...]

    def find(self, kind: str, name: str) -> dict[str, Any]:
        """The only object of a kind and a name."""
        (found,) = (
            each for each in self.list(kind) if each["metadata"]["name"] == name
        )
        return found

    def list(self, *kinds: str) -> list[dict[str, Any]]:
        """All objects of some kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    @property
    def settings(self) -> dict[str, Any]:
        """What the operator is told."""
        data = self.find("ConfigMap", "anabranch-operator")["data"]
        settings: dict[str, Any] = yaml.safe_load(data["settings.yaml"])
        return settings

    @property
    def policy(self) -> dict[str, Any]:
        """The ProbingPolicy that is applied."""
        data = self.find("ConfigMap", "anabranch-policy")["data"]
        policy: dict[str, Any] = yaml.safe_load(data["policy.yaml"])
        return policy


def render(*values: Mapping[str, Any]) -> Rendered:
    """The chart's objects with these values, and hooks.

    Raises:
        RuntimeError: With Helm's words, when it does not take them.
    """
    text = render_text(yaml.safe_dump(merge(*values)))
    objects = yaml.load_all(text, yaml.CSafeLoader)
    return Rendered(tuple(each for each in objects if each))


@cache
def render_text(values: str) -> str:
    """What Helm makes of the chart with values, which are YAML."""
    return run_tool(
        build(HELM),
        *("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-"),
        f"--kube-version={kubernetes_version()}",
        stdin=values,
    )
