"""What GitOps tools make of objects, by their own code and our examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from devcluster.binaries import VERDICTS, build
from devcluster.process import run_tool
from gitops.kustomize import render

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = Path(__file__).parents[2] / "examples" / "gitops"
_SCRIPT = "resource.customizations.health.anabranch.dev_"


@dataclass(frozen=True)
class Verdict:
    """What each says of an object."""

    kstatus: str
    flux: str
    argo: str
    argo_message: str


def judge(objects: Sequence[dict[str, Any]]) -> list[Verdict]:
    """A verdict for each object.

    Raises:
        RuntimeError: When a script or an expression can't be evaluated.
    """
    asked = {
        "scripts": read_scripts(),
        "healthCheckExprs": read_expressions(),
        "objects": objects,
    }
    answer = json.loads(run_tool(build(VERDICTS), stdin=json.dumps(asked)))
    return [
        Verdict(
            kstatus=each["kstatus"],
            flux=each["flux"],
            argo=each["argo"]["status"],
            argo_message=each["argo"]["message"],
        )
        for each in answer
    ]


def read_scripts() -> dict[str, str]:
    """Argo CD's scripts by kind, as argocd-cm has them."""
    (config,) = render(EXAMPLES / "argocd" / "health")
    return {
        name.removeprefix(_SCRIPT): script
        for name, script in config["data"].items()
        if name.startswith(_SCRIPT)
    }


def read_expressions() -> list[dict[str, str]]:
    """Flux's expressions, as the Kustomization of the surveys has them."""
    text = (EXAMPLES / "flux" / "surveys.yaml").read_text()
    expressions: list[dict[str, str]] = yaml.safe_load(text)["spec"]["healthCheckExprs"]
    return expressions
