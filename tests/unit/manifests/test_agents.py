from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from anabranch.api import Agent
from anabranch.manifests.agents import build_pod
from anabranch.manifests.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from pathlib import Path

AGENT = Agent.read(
    {
        "apiVersion": "anabranch.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "paris", "namespace": "system", "uid": "1"},
        "spec": {"nodeName": "n1"},
    }
)


def write(file: Path, size: str) -> Path:
    """Settings whose agents have so much scratch space."""
    settings = {
        "namespace": "system",
        "store": {"bucket": "surveys"},
        "jobs": {"image": "operator"},
        "agents": {"image": "agent", "scratchSizeLimit": size},
    }
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.mark.parametrize(
    ("size", "waiting"), [("2Gi", 1 << 30), ("500M", 250_000_000), ("1e3", 500)]
)
def test_half_of_the_scratch_space_is_for_parts_that_wait(
    size: str, waiting: int, tmp_path: Path
) -> None:
    """The kubelet would end a pod that has more there than its volume may hold."""
    settings = read_settings(write(tmp_path / "settings.yaml", size))
    (container,) = build_pod(settings, AGENT)["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["ANABRANCH_WAITING_BYTES"] == str(waiting)


@pytest.mark.parametrize("size", ["", "2GB", "much", "0", "-1Gi"])
def test_a_size_that_is_none_is_refused(size: str, tmp_path: Path) -> None:
    """By its place, and before there is a pod."""
    with pytest.raises(SettingsError, match=r"agents\.scratchSizeLimit: "):
        read_settings(write(tmp_path / "settings.yaml", size))
