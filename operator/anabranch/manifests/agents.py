"""The pods of agents, and the Agents of enrolled nodes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from anabranch.api.resource import API_VERSION
from anabranch.manifests.labels import (
    ENROLLED,
    TEMPLATE,
    Component,
    label,
    name_child,
)
from anabranch.manifests.store import describe_store
from anabranch.manifests.trust import describe_trust

if TYPE_CHECKING:
    from anabranch.api import Agent
    from anabranch.manifests.settings import AgentSettings, Settings, StoreSettings

SCRATCH = "/var/lib/anabranch"
SOCKETS = "/run/anabranch"
"""Where pods see the folders of sockets on their nodes."""
_GRACE_SECONDS = 60
_HASH_DIGITS = 16


def name_pod(agent: str) -> str:
    """Return the name of an agent's pod."""
    return f"anabranch-agent-{agent}"


def name_user(agent: Agent) -> str:
    """Return the name of an agent's user of the gateway."""
    return f"agent-{agent.metadata.name}"


def name_secret(store: StoreSettings, agent: Agent) -> str:
    """Return the name of the Secret with an agent's credentials for the store.

    The gateway's differs once the root's key does, so that pods are made anew.
    """
    name = agent.metadata.name
    if store.is_gateway:
        parts = (agent.metadata.uid, store.generation)
        return name_child(name_pod(name), *parts, suffix="store")
    return store.agent_secret.replace("{agent}", name) or store.secret


def build_secret(
    settings: Settings, agent: Agent, variables: dict[str, str]
) -> dict[str, Any]:
    """Build the Secret of an agent's user of the gateway, with boto3's variables.

    Kubernetes removes it with the Agent.
    """
    name = agent.metadata.name
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name_secret(settings.store, agent),
            "namespace": settings.namespace,
            "labels": label(Component.AGENT, agent=name),
            "ownerReferences": [_own(agent)],
        },
        "type": "Opaque",
        "stringData": variables,
    }


def build_pod(settings: Settings, agent: Agent) -> dict[str, Any]:
    """Build the pod of an agent, which Kubernetes removes with the Agent."""
    name, agents = agent.metadata.name, settings.agents
    spec = _build_spec(settings, agent)
    made_of = [spec, agents.pod_labels, agents.pod_annotations]
    text = json.dumps(made_of, sort_keys=True).encode()
    template = hashlib.sha256(text).hexdigest()[:_HASH_DIGITS]
    own = label(Component.AGENT, agent=name, template=template)
    metadata: dict[str, Any] = {
        "name": name_pod(name),
        "namespace": settings.namespace,
        "labels": agents.pod_labels | own,
        "ownerReferences": [_own(agent)],
    }
    if agents.pod_annotations:
        metadata["annotations"] = agents.pod_annotations
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def find_template(pod: dict[str, Any]) -> str:
    """Return the hash of what a pod is made from."""
    template: str = pod["metadata"]["labels"][TEMPLATE]
    return template


def build_enrolled_agent(settings: Settings, node: str) -> dict[str, Any]:
    """Build the Agent of a node that is enrolled by its label."""
    enrol = settings.agents.enrol
    if enrol is None:
        raise ValueError("the settings name no label that enrols nodes")
    return {
        "apiVersion": API_VERSION,
        "kind": "Agent",
        "metadata": {
            "name": node,
            "namespace": settings.namespace,
            "labels": enrol.labels | {ENROLLED: "true"},
        },
        "spec": enrol.spec | {"nodeName": node},
    }


def _own(agent: Agent) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Agent",
        "name": agent.metadata.name,
        "uid": agent.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _build_spec(settings: Settings, agent: Agent) -> dict[str, Any]:
    agents = settings.agents
    own = {
        "ANABRANCH_AGENT": agent.metadata.name,
        "ANABRANCH_NAMESPACE": settings.namespace,
        "ANABRANCH_WATCH_NAMESPACES": ",".join(settings.served_namespaces),
        "ANABRANCH_SCRATCH": SCRATCH,
        "ANABRANCH_WAITING_BYTES": str(agents.waiting_bytes),
        "ANABRANCH_HEALTH_PORT": str(agents.health_port),
    }
    sockets = (
        _describe_socket("event", agent.spec.event_socket),
        _describe_socket("annotation", agent.spec.annotation_socket),
    )
    for each in sockets:
        own |= each.env
    secret = name_secret(settings.store, agent)
    environment = describe_store(settings.store, own, secret=secret)
    trust = describe_trust(settings.ca_bundle)
    environment["env"] += trust.env
    environment["env"] += [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in {
            "ANABRANCH_POD_NAME": "metadata.name",
            "ANABRANCH_POD_UID": "metadata.uid",
            "ANABRANCH_HOST_IP": "status.hostIP",
        }.items()
    ]
    port = agents.health_port
    probe = {"port": port}
    container = {
        "name": Component.AGENT.value,
        "image": agents.image,
        "imagePullPolicy": agents.image_pull_policy,
        "resources": agents.resources,
        # Prometheus finds the port by its name, the scheduler by its number.
        "ports": [{"name": "health", "containerPort": port, "hostPort": port}],
        "securityContext": _build_security(agents),
        "volumeMounts": [
            {"name": "scratch", "mountPath": SCRATCH},
            *(mount for each in sockets for mount in each.mounts),
            *trust.mounts,
        ],
        "livenessProbe": {
            "httpGet": probe | {"path": "/healthz"},
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
        "readinessProbe": {
            "httpGet": probe | {"path": "/readyz"},
            "periodSeconds": 5,
            "failureThreshold": 1,
        },
        **environment,
    }
    spec: dict[str, Any] = {
        "affinity": _pin(agent.spec.node_name),
        "tolerations": [{"operator": "Exists"}],
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "enableServiceLinks": False,
        "serviceAccountName": agents.service_account,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "containers": [container],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": agents.scratch_size_limit}},
            *(volume for each in sockets for volume in each.volumes),
            *trust.volumes,
        ],
    }
    if agents.priority_class_name:
        spec["priorityClassName"] = agents.priority_class_name
    return spec


@dataclass(frozen=True)
class _Socket:
    """What a pod needs to talk to a program of its node."""

    env: dict[str, str] = field(default_factory=dict)
    mounts: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()


def _describe_socket(name: str, socket: str | None) -> _Socket:
    """Describe how a pod sees a socket of M-Lab's on its node.

    It sees the folder, since a program makes its socket anew when it starts.
    """
    if socket is None:
        return _Socket()
    path, folder = PurePosixPath(socket), f"{SOCKETS}/{name}s"
    mount = {"name": f"{name}s", "mountPath": folder, "readOnly": True}
    # Other Rounds are probed, too, so the pod does not wait for the program.
    host = {"path": str(path.parent), "type": "DirectoryOrCreate"}
    return _Socket(
        {f"ANABRANCH_{name.upper()}_SOCKET": f"{folder}/{path.name}"},
        (mount,),
        ({"name": f"{name}s", "hostPath": host},),
    )


def _build_security(agents: AgentSettings) -> dict[str, Any]:
    if agents.privileged:
        return {"privileged": True, "runAsUser": 0}
    return {
        "privileged": False,
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "NET_ADMIN"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _pin(node: str) -> dict[str, Any]:
    """Return the affinity that makes the scheduler place a pod on a node.

    Unlike nodeName, it lets the scheduler report the node's taints or its absence.
    """
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    required = {"nodeSelectorTerms": [{"matchFields": fields}]}
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {key: required}}
