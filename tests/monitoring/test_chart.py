"""What the chart gives to prometheus-operator and to Grafana."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.api import Agent
from anabranch.manifests.agents import build_pod
from anabranch.manifests.settings import Settings
from devcluster.apiserver import run_apiserver
from devcluster.namespace import Namespace
from devcluster.process import wait_until
from helm import CHART, CONTACT, NAMESPACE, render

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MODULE = "github.com/prometheus-operator/prometheus-operator"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = ("PodMonitor", "PrometheusRule", "ServiceMonitor")
SECONDS = 30.0
PARTS = {
    "serviceMonitor": {"ServiceMonitor", "Service"},
    "podMonitor": {"PodMonitor"},
    "prometheusRule": {"PrometheusRule"},
    "dashboard": {"ConfigMap"},
}
"""The kinds of what each of the values brings."""


def switch_on(*parts: str, **more: Any) -> dict[str, Any]:
    """Values that have some parts be there."""
    return {"monitoring": {part: {"enabled": True, **more} for part in parts}}


def render_more(*parts: str, **more: Any) -> list[dict[str, Any]]:
    """The objects that there are with some parts, and not without."""
    plain = {_name(each) for each in render(CONTACT).objects}
    objects = render(CONTACT, switch_on(*parts, **more)).objects
    return [each for each in objects if _name(each) not in plain]


def _name(manifest: dict[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """The system namespace of a real API server that knows prometheus-operator."""
    words = ("go", "mod", "download", "-json", MODULE)
    found = subprocess.run(words, cwd=HERE, capture_output=True, check=True)
    folder = Path(json.loads(found.stdout)["Dir"]) / "example/prometheus-operator-crd"
    with run_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        system = Namespace(server.connect(), NAMESPACE)
        body = {"metadata": {"name": NAMESPACE}}
        assert system.call("POST", "/api/v1/namespaces", body).status == 201
        for kind in KINDS:
            file = folder / f"monitoring.coreos.com_{kind.lower()}s.yaml"
            crd = yaml.load(file.read_text(), yaml.CSafeLoader)
            assert system.call("POST", DEFINITIONS, crd).status == 201
        wait_until(
            "the kinds",
            lambda: all(
                system.call("GET", find_folder("monitoring.coreos.com/v1", kind)).status
                == 200
                for kind in KINDS
            ),
            SECONDS,
        )
        yield system


def find_folder(version: str, kind: str) -> str:
    """Where objects of a kind are."""
    root = "/apis" if "/" in version else "/api"
    return f"{root}/{version}/namespaces/{NAMESPACE}/{kind.lower()}s"


def test_the_real_definitions_take_all_of_it(system: Namespace) -> None:
    """Each object is valid, down to fields that nobody knows."""
    labels = {"release": "kube-prometheus-stack"}
    objects = render_more(*PARTS, labels=labels)
    assert {each["kind"] for each in objects} == set.union(*PARTS.values())
    for each in objects:
        folder = find_folder(each["apiVersion"], each["kind"])
        query = "?dryRun=All&fieldValidation=Strict"
        answer = system.call("POST", folder + query, each)
        assert answer.status == 201, (each["metadata"]["name"], answer.body)


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_there_unless_it_is_asked_for(part: str) -> None:
    """A cluster without prometheus-operator would refuse its kinds."""
    assert {each["kind"] for each in render_more(part)} == PARTS[part]


def test_labels_are_what_a_prometheus_chooses_by() -> None:
    """They stand beside the chart's own; the ConfigMap has the sidecar's."""
    for each in render_more(*PARTS, labels={"release": "stack"}):
        if each["kind"] != "Service":
            assert each["metadata"]["labels"]["release"] == "stack"
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "anabranch"
    (dashboard,) = render_more("dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_files_are_passed_on_whole() -> None:
    """Helm must not read the words that Prometheus and Grafana are to read."""
    (rule,) = render_more("prometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files/rules.yaml").read_text())
    (dashboard,) = render_more("dashboard")
    text = (CHART / "files/dashboard.json").read_text()
    assert json.loads(dashboard["data"]["anabranch.json"]) == json.loads(text)


def test_alerts_link_to_where_the_runbook_is() -> None:
    """To a section of it, each; who publishes it elsewhere says so."""
    place = "https://docs.example.org/anabranch/runbook"
    (rule,) = render_more("prometheusRule", runbook=place)
    for group in rule["spec"]["groups"]:
        for alert in group["rules"]:
            link = alert["annotations"]["runbook_url"]
            assert link == f"{place}#{alert['alert'].lower()}"


def test_the_monitors_find_what_they_are_for() -> None:
    """The Service selects the operator's pod, the PodMonitor an agent's, by ports."""
    objects = {each["kind"]: each for each in render_more(*PARTS)}
    rendered = render(CONTACT)
    template = rendered.find("Deployment", "anabranch-operator")["spec"]["template"]
    service, monitor = objects["Service"], objects["ServiceMonitor"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {each["name"] for each in container["ports"]}
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["spec"]["endpoints"]] == [port["name"]]
    agent = Agent.read(
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "paris", "uid": "1"},
            "spec": {"nodeName": "n1"},
        }
    )
    pod = build_pod(Settings.read(rendered.settings), agent)
    monitor = objects["PodMonitor"]
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = [each["name"] for each in container["ports"]]
    assert [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]] == ports


@pytest.mark.parametrize("interval", ["often", "30", "1 m"])
def test_an_interval_that_is_none_is_refused(interval: str) -> None:
    """Before prometheus-operator could take offence."""
    with pytest.raises(RuntimeError, match="interval"):
        render(CONTACT, switch_on("podMonitor", interval=interval))
