from __future__ import annotations

import copy
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from anabranch.api import Agent
from anabranch.manifests.agents import build_pod
from anabranch.manifests.jobs import build_job, share_work
from anabranch.manifests.labels import Component, label
from anabranch.manifests.settings import Settings
from helm import CHART, CONTACT, NAMESPACE, find_folder, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from devcluster.apiserver import ApiServer
    from devcluster.namespace import Namespace

ENROL = {"agents": {"enrol": {"enabled": True}}}
NARROW = {"watchNamespaces": ["research", "teaching"]}


CLOSED = {
    "networkPolicy": {
        "enabled": True,
        "storeClients": [{"ipBlock": {"cidr": "10.0.0.0/16"}}],
    },
    "agents": {"priorityClass": {"create": True}},
}
DIGEST = {"operator": {"image": {"digest": f"sha256:{'0' * 64}"}}}
_TOLD = {"podLabels": {"team": "a"}, "podAnnotations": {"example.org/team": "a b"}}
TOLD = {
    "caBundle": {"configMap": "company"},
    "operator": _TOLD,
    "store": {"embedded": _TOLD},
}
PURGING = {"retention": {"olderThan": "90d", "keepSize": "500Gi"}} | CLOSED
DRY = "?dryRun=All&fieldValidation=Strict"
SMALL = {"rbac": {"aggregate": False, "confineAgents": False}}


@pytest.mark.parametrize(
    "values", [{}, ENROL, NARROW, CLOSED, DIGEST, TOLD, SMALL, PURGING], ids=str
)
def test_the_api_server_takes_all_of_it(
    system: Namespace, values: Mapping[str, Any]
) -> None:
    """Each object is valid, down to fields that nobody knows."""
    rendered = render(CONTACT, values)
    for manifest in (*rendered.objects, rendered.policy):
        if manifest["kind"] == "CustomResourceDefinition":
            continue  # They are there.
        answer = system.call("POST", find_folder(manifest) + DRY, manifest)
        assert answer.status == 201, (manifest["metadata"]["name"], answer.body)


def test_the_api_server_takes_what_the_operator_makes(system: Namespace) -> None:
    """Pods with labels, annotations and a bundle of somebody's choice."""
    chosen = TOLD | {"jobs": _TOLD, "agents": _TOLD}
    settings = Settings.read(render(CONTACT, chosen).settings)
    about = {"name": "paris", "namespace": NAMESPACE, "uid": "1"}
    head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": "Agent"}
    agent = Agent.read(head | {"metadata": about, "spec": {"nodeName": "n1"}})
    job = build_job(settings, "job", label(Component.STEP_JOB), ["begin"])
    shared = copy.deepcopy(job)
    share_work(shared, 3)
    for manifest in (job, shared, build_pod(settings, agent)):
        answer = system.call("POST", find_folder(manifest) + DRY, manifest)
        assert answer.status == 201, answer.body


@pytest.fixture
def apply(apiserver: ApiServer) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What the chart's Job does with a policy."""
    file = CHART / "files" / "apply_policy.py"
    spec = importlib.util.spec_from_file_location("apply_policy", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client.Configuration.set_default(apiserver.connect().configuration)
    yield module.apply
    client.Configuration.set_default(None)


@pytest.fixture
def fetch(system: Namespace) -> Iterator[Callable[[], dict[str, Any]]]:
    """The policy's spec, as it is; the policy is gone after the test."""
    path = system.path("ProbingPolicy", "default")

    def fetch() -> dict[str, Any]:
        spec: dict[str, Any] = system.call("GET", path).body["spec"]
        return spec

    yield fetch
    system.call("DELETE", path)


def change(system: Namespace, spec: Mapping[str, Any]) -> None:
    """Changes the policy as somebody with ``kubectl patch`` does."""
    client.CustomObjectsApi(system.connection).patch_namespaced_custom_object(
        *("anabranch.dev", "v1alpha1", system.name, "probingpolicies", "default"),
        {"spec": spec},
        field_manager="somebody",
        _content_type="application/merge-patch+json",
    )


def test_an_upgrade_changes_what_the_values_changed(
    apply: Callable[[dict[str, Any]], None], fetch: Callable[[], dict[str, Any]]
) -> None:
    """What is allowed comes and goes with the values, and [] stays [] in between."""
    for allow in ([], ["198.51.100.0/24"], ["203.0.113.0/24"], []):
        apply(render(CONTACT, {"policy": {"allow": allow}}).policy)
        assert fetch()["allow"] == allow


def test_an_upgrade_keeps_opt_outs_and_a_stop(
    system: Namespace,
    apply: Callable[[dict[str, Any]], None],
    fetch: Callable[[], dict[str, Any]],
) -> None:
    """What somebody added in a hurry is not undone by the next upgrade."""
    values = {"policy": {"exclusions": ["192.0.2.0/24"]}}
    apply(render(CONTACT, values).policy)
    opted_out = ["192.0.2.0/24", "198.51.100.0/24"]
    change(system, {"exclusions": opted_out, "stop": True})
    apply(render(CONTACT, values, {"policy": {"maxRate": 100}}).policy)
    spec = fetch()
    assert spec["stop"]
    assert spec["exclusions"] == opted_out
    assert spec["maxRate"] == 100


def test_opt_outs_outlive_values_without_them(
    apply: Callable[[dict[str, Any]], None], fetch: Callable[[], dict[str, Any]]
) -> None:
    """A rollback applies the policy of before: who opted out since stays so."""
    before = render(CONTACT).policy
    opted_out = {"policy": {"exclusions": ["192.0.2.0/24"]}}
    for policy in (before, render(CONTACT, opted_out).policy, before):
        apply(policy)
    assert fetch()["exclusions"] == ["192.0.2.0/24"]


def test_a_rate_that_somebody_lowered_is_not_raised(
    system: Namespace,
    apply: Callable[[dict[str, Any]], None],
    fetch: Callable[[], dict[str, Any]],
) -> None:
    """The upgrade fails, and says what is in the way, until both say the same."""
    apply(render(CONTACT, {"policy": {"maxRate": 1000}}).policy)
    change(system, {"maxRate": 10})
    with pytest.raises(client.ApiException, match=r"\.spec\.maxRate") as error:
        apply(render(CONTACT, {"policy": {"maxRate": 1000}}).policy)
    assert error.value.status == 409
    assert fetch()["maxRate"] == 10
    apply(render(CONTACT, {"policy": {"maxRate": 10}}).policy)
