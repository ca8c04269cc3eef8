"""What kustomize makes of a folder."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from devcluster.binaries import KUBE, build
from devcluster.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path


@cache
def render(folder: Path) -> list[dict[str, Any]]:
    """The objects of a folder, as ``kubectl apply --kustomize`` has them.

    Raises:
        RuntimeError: With its words, when it can't be built.
    """
    text = run_tool(build(KUBE), "kubectl", "kustomize", str(folder))
    return list(yaml.load_all(text, yaml.CSafeLoader))
