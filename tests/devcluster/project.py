"""The project's own images, of its Dockerfiles, and those that its chart names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.binaries import VERSITYGW, build
from devcluster.images import PYTHON_IMAGE

if TYPE_CHECKING:
    from collections.abc import Collection

    from devcluster.images import ImageStore

_ROOT = Path(__file__).parents[2]
_CONTEXT = _ROOT / "build" / "image"
_WHEELS = ("anabranch", "anabranch_engine")
OPERATOR_IMAGE = "docker.io/anabranch/operator:dev"
AGENT_IMAGE = "docker.io/anabranch/agent:dev"
_DOCKERFILES = {
    OPERATOR_IMAGE: _ROOT / "operator" / "Dockerfile",
    AGENT_IMAGE: _ROOT / "agent-image" / "Dockerfile",
}


def name_gateway_image() -> str:
    """The tag of the S3 gateway of the version that the Go module requires."""
    text = (VERSITYGW.folder / "go.mod").read_text()
    (version,) = re.findall(r"github\.com/versity/versitygw (v\S+)", text)
    return f"docker.io/versity/versitygw:{version}"


def check_wheels(files: Collection[str], version: str) -> None:
    """Check that a folder has one wheel of each name, of a version.

    Raises:
        RuntimeError: If it has none, another one, or several.
    """
    for name in _WHEELS:
        found = sorted(file for file in files if file.startswith(f"{name}-"))
        if [file.split("-")[1] for file in found] != [version]:
            raise RuntimeError(
                f"{_CONTEXT} has {', '.join(found) or 'no wheel'} where one wheel of"
                f" {name} {version} is wanted: run make images"
            )


def build_images(store: ImageStore) -> None:
    """Build all of them.

    Raises:
        RuntimeError: Without the wheels that they are made of, and with others.
    """
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    check_wheels([file.name for file in _CONTEXT.glob("*.whl")], project["version"])
    store.build_base()
    for tag, dockerfile in _DOCKERFILES.items():
        store.build(dockerfile, _CONTEXT, tag, {"BASE": PYTHON_IMAGE})
    store.wrap(build(VERSITYGW), name_gateway_image())
