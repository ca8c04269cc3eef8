"""What agents may write, by the tokens that their pods have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from kubernetes import client

from devcluster.namespace import Answer, Namespace
from devcluster.process import wait_until
from helm import CHART, CONTACT, NAMESPACE, find_folder, render

if TYPE_CHECKING:
    from devcluster.apiserver import ApiServer

ROUND = CHART.parents[1] / "examples" / "kinds" / "round.yaml"
AGENTS = ("paris", "tokyo")
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
BEGIN_SECONDS = 30.0
"""In which the API server comes to know a policy."""


@pytest.fixture(scope="module")
def agents(apiserver: ApiServer) -> dict[str, Namespace]:
    """The system namespace, as the pods of two agents see it."""
    admin = Namespace(apiserver.connect(), NAMESPACE)
    rendered = render(CONTACT)
    for kind in (
        *("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    ):
        for manifest in rendered.list(kind):
            if "agent" in manifest["metadata"]["name"]:
                created = admin.call("POST", find_folder(manifest), manifest)
                assert created.status == 201, created.body
    seen = {name: log_in(apiserver, admin, name) for name in AGENTS}
    wait_until(
        "the policy",
        lambda: write_lease(seen["paris"], "probe", "?dryRun=All").status == 403,
        BEGIN_SECONDS,
    )
    return seen


def log_in(apiserver: ApiServer, admin: Namespace, agent: str) -> Namespace:
    """The namespace, by the token that kubelet would give to an agent's pod."""
    name = f"anabranch-agent-{agent}"
    spec = {
        "serviceAccountName": "anabranch-agent",
        "containers": [{"name": "agent", "image": "agent"}],
    }
    pod = admin.call("POST", f"{CORE}/pods", {"metadata": {"name": name}, "spec": spec})
    assert pod.status == 201, pod.body
    bound = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": name,
        "uid": pod.body["metadata"]["uid"],
    }
    path = f"{CORE}/serviceaccounts/anabranch-agent/token"
    token = admin.call("POST", path, {"spec": {"boundObjectRef": bound}})
    assert token.status == 201, token.body
    connection = apiserver.connect()
    bearer = f"Bearer {token.body['status']['token']}"
    connection.configuration.api_key = {"authorization": bearer}
    return Namespace(connection, NAMESPACE)


def write_lease(agent: Namespace, name: str, query: str = "") -> Answer:
    """Makes a Lease."""
    return agent.call("POST", LEASES + query, {"metadata": {"name": name}})


def test_an_agent_writes_its_own_lease_alone(
    agents: dict[str, Namespace], system: Namespace
) -> None:
    """Not another agent's, and above all not the operator's."""
    paris, tokyo = agents["paris"], agents["tokyo"]
    assert write_lease(paris, "anabranch-agent-paris").status == 201
    lease = system.call("GET", f"{LEASES}/anabranch-agent-paris").body
    own = f"{LEASES}/anabranch-agent-paris"
    assert paris.call("PUT", own, lease).status == 200
    lease = system.call("GET", own).body
    refused = tokyo.call("PUT", own, lease)
    assert refused.status == 403
    assert "this is for pod anabranch-agent-paris alone" in refused.body["message"]
    assert write_lease(tokyo, "anabranch-operator").status == 403
    # The policy is about agents, not about Leases.
    assert write_lease(system, "anabranch-operator").status == 201
    system.call("DELETE", own)
    system.call("DELETE", f"{LEASES}/anabranch-operator")


def count_probes(agent: Namespace, sent: int) -> None:
    """Writes the status of the Round, as agents do."""
    client.CustomObjectsApi(agent.connection).patch_namespaced_custom_object_status(
        *("anabranch.dev", "v1alpha1", NAMESPACE, "rounds", "weekly-r1-paris"),
        {"status": {"probesSent": sent}},
        _content_type="application/merge-patch+json",
    )


def test_an_agent_speaks_for_its_own_rounds_alone(
    agents: dict[str, Namespace], system: Namespace
) -> None:
    """Nobody's Round is finished but by who probes it."""
    created = system.create(next(yaml.safe_load_all(ROUND.read_text())))
    assert created.status == 201, created.body
    count_probes(agents["paris"], 1)
    with pytest.raises(client.ApiException, match="pod anabranch-agent-paris alone"):
        count_probes(agents["tokyo"], 2)
    path = system.path("Round", "weekly-r1-paris")
    assert system.call("GET", path).body["status"]["probesSent"] == 1
    system.call("DELETE", path)
