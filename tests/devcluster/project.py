"""The project's own images, of its Dockerfiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
