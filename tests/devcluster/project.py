"""The project's own images, of its Dockerfiles, and those that its chart names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.binaries import VERSITYGW, build
from devcluster.images import PYTHON_IMAGE

if TYPE_CHECKING:
    from devcluster.images import ImageStore

_ROOT = Path(__file__).parents[2]
_CONTEXT = _ROOT / "build" / "image"
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


def build_images(store: ImageStore) -> None:
    """Builds all of them.

    Raises:
        RuntimeError: Without the wheels that they are made of.
    """
    if not any(_CONTEXT.glob("*.whl")):
        raise RuntimeError(f"there are no wheels in {_CONTEXT}: run make wheels")
    store.build_base()
    for tag, dockerfile in _DOCKERFILES.items():
        store.build(dockerfile, _CONTEXT, tag, {"BASE": PYTHON_IMAGE})
    store.wrap(build(VERSITYGW), name_gateway_image())
