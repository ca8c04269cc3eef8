"""What our images have, and what they say of themselves."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from devcluster.images import PYTHON_IMAGE, ImageStore
from devcluster.project import AGENT_IMAGE, OPERATOR_IMAGE, build_images

BILLS = Path(__file__).parents[2] / "build" / "image"
IMAGES = {"operator": OPERATOR_IMAGE, "agent": AGENT_IMAGE}
_LABEL = "org.opencontainers.image"
# The base's own packages are elsewhere, but for its pip, which is not ours either.
_LOOK = """\
import importlib.metadata, json, re, sysconfig
found = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
names = {re.sub("[-_.]+", "-", d.name.lower()): d for d in found}
print(json.dumps({
    "versions": {name: d.version for name, d in names.items()},
    "bills": {name: [str(f) for f in d.files if "/sboms/" in str(f)]
              for name, d in names.items()},
}))
"""
_MIB = 1 << 20


@pytest.fixture(scope="module")
def store() -> ImageStore:
    """Where the images of the wheels in build/image are."""
    store = ImageStore()
    build_images(store)
    return store


@pytest.fixture(scope="module", params=IMAGES)
def name(request: pytest.FixtureRequest) -> str:
    """Of each image in turn."""
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def contents(store: ImageStore, name: str) -> dict[str, Any]:
    """The distributions in an image, and the bills of materials that they bring."""
    found: dict[str, Any] = json.loads(store.run(IMAGES[name], "python", "-c", _LOOK))
    return found


def read_bill(name: str) -> set[tuple[str, str]]:
    """Names and versions in a bill of materials; some differ by Python's version."""
    bill = json.loads((BILLS / f"{name}.cdx.json").read_text())
    parts = [bill["metadata"]["component"], *bill["components"]]
    return {(part["name"], part["version"]) for part in parts}


def test_an_image_has_what_its_bill_says(name: str, contents: dict[str, Any]) -> None:
    """Each distribution, in the same version; the engine brings its crates' bill."""
    found = contents["versions"]
    assert {"anabranch", "anabranch-engine", "boto3"} <= found.keys()
    assert found.items() <= read_bill(name)
    assert contents["bills"]["anabranch-engine"]


def test_an_image_says_what_it_is(store: ImageStore, name: str) -> None:
    """Its labels are those of OCI, and true."""
    labels = store.read_config(IMAGES[name])["Labels"]
    assert labels[f"{_LABEL}.title"]
    assert labels[f"{_LABEL}.description"]
    assert labels[f"{_LABEL}.version"] == version("anabranch")
    assert labels[f"{_LABEL}.licenses"] == "Apache-2.0"
    assert labels[f"{_LABEL}.base.name"] == PYTHON_IMAGE


def test_the_operator_needs_no_root(store: ImageStore) -> None:
    """By a number, so that kubelet can tell without looking into the image."""
    assert store.read_config(OPERATOR_IMAGE)["User"] == "65532:65532"


@pytest.mark.parametrize("name", ["agent"], indirect=True)
def test_an_agent_has_what_it_takes_to_probe(
    store: ImageStore, contents: dict[str, Any]
) -> None:
    """And no database: it is pulled by each node."""
    unwanted = {"chdb-core-lite", "chdb-core", "chdb", "kopf", "numpy", "pyarrow"}
    assert not unwanted & contents["versions"].keys()
    size = int(store.run(AGENT_IMAGE, "du", "--bytes", "-s", "/usr/local").split()[0])
    assert size < 256 * _MIB
