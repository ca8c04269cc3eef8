from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from anabranch.api import Agent
from anabranch.manifests.agents import build_pod, find_template
from anabranch.manifests.labels import AGENT as AGENT_LABEL
from anabranch.manifests.settings import Settings, SettingsError, read_settings

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


def describe(**agents: Any) -> dict[str, Any]:
    """Settings, with some of agents."""
    return {
        "namespace": "system",
        "store": {"bucket": "surveys"},
        "jobs": {"image": "operator"},
        "agents": {"image": "agent", **agents},
    }


def build(**agents: Any) -> dict[str, Any]:
    """The pod of an agent with such settings."""
    return build_pod(Settings.read(describe(**agents)), AGENT)


def write(file: Path, size: str) -> Path:
    """Settings whose agents have so much scratch space."""
    file.write_text(yaml.safe_dump(describe(scratchSizeLimit=size)))
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


def test_an_agent_is_labelled_and_annotated_as_the_settings_say() -> None:
    """But by its own labels it is found, whoever says otherwise."""
    labels = {"team": "network", AGENT_LABEL: "tokyo"}
    notes = {"linkerd.io/inject": "disabled"}
    metadata = build(podLabels=labels, podAnnotations=notes)["metadata"]
    assert metadata["labels"]["team"] == "network"
    assert metadata["labels"][AGENT_LABEL] == "paris"
    assert metadata["annotations"] == notes
    assert "annotations" not in build()["metadata"]


def test_an_agent_sees_the_folder_of_its_event_socket_and_no_other() -> None:
    """Only to read; without a socket it sees nothing of its node."""
    spec = AGENT.spec.model_copy(update={"event_socket": "/var/local/info/events.sock"})
    agent = AGENT.model_copy(update={"spec": spec})
    pod = build_pod(Settings.read(describe()), agent)["spec"]
    (container,) = pod["containers"]
    volumes = {v["name"]: v["hostPath"] for v in pod["volumes"] if "hostPath" in v}
    assert volumes == {
        "events": {"path": "/var/local/info", "type": "DirectoryOrCreate"}
    }
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "events")
    assert mount == {
        "name": "events",
        "mountPath": "/run/anabranch/events",
        "readOnly": True,
    }
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["ANABRANCH_EVENT_SOCKET"] == "/run/anabranch/events/events.sock"
    assert (
        container["securityContext"]
        == build()["spec"]["containers"][0]["securityContext"]
    )
    bare = build()["spec"]
    assert not any("hostPath" in volume for volume in bare["volumes"])
    assert "ANABRANCH_EVENT_SOCKET" not in str(bare)


@pytest.mark.parametrize("field", ["podLabels", "podAnnotations"])
def test_an_agent_with_other_labels_or_annotations_is_to_be_replaced(
    field: str,
) -> None:
    """Its template is another one, as with another image."""
    none, first, second = (
        find_template(build(**settings))
        for settings in ({}, {field: {"team": "a"}}, {field: {"team": "b"}})
    )
    assert len({none, first, second}) == 3
    assert find_template(build(**{field: {}})) == none


def find_secrets(store: dict[str, Any], agent: Agent = AGENT) -> list[str]:
    """The Secrets that an agent's container takes variables from."""
    settings = describe() | {"store": {"bucket": "surveys", **store}}
    (container,) = build_pod(Settings.read(settings), agent)["spec"]["containers"]
    return [each["secretRef"]["name"] for each in container["envFrom"]]


def test_an_agent_takes_its_own_secret_where_there_is_one() -> None:
    """Of a name that somebody chose, of the gateway, or else that of all."""
    assert find_secrets({}) == []
    assert find_secrets({"secret": "s3"}) == ["s3"]
    assert find_secrets({"secret": "s3", "agentSecret": "s3-{agent}"}) == ["s3-paris"]
    gateway = {"secret": "s3", "isGateway": True, "generation": "ab12"}
    (name,) = find_secrets(gateway)
    metadata = AGENT.metadata.model_copy(update={"uid": "2"})
    again = AGENT.model_copy(update={"metadata": metadata})
    others = [
        *find_secrets(gateway | {"generation": "cd34"}),
        *find_secrets(gateway, again),
    ]
    assert all(each.startswith("anabranch-agent-paris-") for each in [name, *others])
    assert len({name, *others}) == 3


def test_a_name_of_secrets_must_tell_agents_apart() -> None:
    """One of all agents would be no agent's own."""
    settings = describe() | {"store": {"bucket": "surveys", "agentSecret": "s3"}}
    with pytest.raises(ValidationError, match="agentSecret"):
        Settings.read(settings)
