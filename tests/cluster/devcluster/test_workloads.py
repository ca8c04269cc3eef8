"""A cluster does for workloads what any other does."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from functools import partial
from string import Template
from typing import TYPE_CHECKING

import pytest

from devcluster.process import find_free_ports, run_program, wait_until
from devcluster.project import OPERATOR_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.cluster import Cluster
    from devcluster.kubectl import Kubectl

WEB = Template("""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        labelSelector: {matchLabels: {app: web}}
      securityContext: {runAsNonRoot: true}
      containers:
      - name: web
        image: $image
        command: [sh, -c, "echo I am on $$NODE; cd /tmp; hostname >name;
                           exec python -m http.server 8080"]
        env:
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        readinessProbe: {httpGet: {port: 8080, path: /name}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
""").substitute(image=OPERATOR_IMAGE)

FETCH = """
import urllib.request
print(*sorted({urllib.request.urlopen("http://web/name", timeout=5).read().decode()
               .strip() for _ in range(40)}))
"""


@pytest.fixture
def web(kubectl: Kubectl) -> list[str]:
    """The names of two pods, one a node, behind the service ``web``."""
    kubectl.apply(WEB)
    kubectl.wait("deployment/web", "condition=Available")
    pods = kubectl.list_pods("app=web")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"n1", "n2"}
    return sorted(pod["metadata"]["name"] for pod in pods)


def reaches(kubectl: Kubectl, pod: str, web: list[str]) -> bool:
    """Whether a pod gets answers of all that are behind the service, and no others."""
    fetch = kubectl.list_words("exec", pod, "--", "python", "-c", FETCH)
    done = subprocess.run(fetch, capture_output=True, check=False, text=True)
    return done.stdout.split() == web


def test_a_service_is_found_by_name_from_each_node(
    kubectl: Kubectl, web: list[str]
) -> None:
    """Its pods on both nodes answer, whoever asks, soon after they are ready."""
    for pod in web:
        wait_until("both pods to answer", partial(reaches, kubectl, pod, web), 20)


def test_names_outside_are_not_known(kubectl: Kubectl, web: list[str]) -> None:
    """There is no way out."""
    look_up = "import socket; socket.getaddrinfo('example.org', 80)"
    with pytest.raises(RuntimeError, match="Name or service not known"):
        kubectl.run("exec", web[0], "--", "python", "-c", look_up)


def test_logs_exec_and_port_forward_reach_pods(
    kubectl: Kubectl, web: list[str], tmp_path: Path
) -> None:
    """As the API server passes them on to kubelets."""
    assert "I am on n" in kubectl.run("logs", web[0])
    assert kubectl.run("exec", "-i", web[1], "--", "cat", stdin="abc") == "abc"
    (port,) = find_free_ports(1)
    forward = kubectl.list_words("port-forward", "service/web", f"{port}:80")
    with run_program(forward, log := tmp_path / "forward.log"):
        wait_until("forwarding", lambda: "Forwarding" in log.read_text(), 20)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/name") as answer:
            assert answer.read().decode().strip() in web


JOB = Template("""\
apiVersion: batch/v1
kind: Job
metadata: {name: version}
spec:
  ttlSecondsAfterFinished: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: version, image: $image, args: [--version]}]
""").substitute(image=OPERATOR_IMAGE)


def test_a_job_runs_and_is_removed_after_its_time(kubectl: Kubectl) -> None:
    """Our image's entry point is the command."""
    kubectl.apply(JOB)
    kubectl.wait("job/version", "condition=Complete")
    assert kubectl.run("logs", "job/version").startswith("anabranch ")
    kubectl.wait("job/version", "delete", 30)


CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""
USER = Template("""\
apiVersion: v1
kind: Pod
metadata: {name: $name}
spec:
  nodeName: $node
  restartPolicy: Never
  securityContext: {runAsUser: 0}
  containers:
  - name: user
    image: $image
    command: [sh, -c, $command]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
""")


def test_a_volume_outlives_its_pod_and_follows_the_next(kubectl: Kubectl) -> None:
    """Also to another node."""
    kubectl.apply(CLAIM)
    for name, node, command in (
        ("writer", "n1", '"echo kept >/data/file"'),
        ("reader", "n2", '"cat /data/file"'),
    ):
        kubectl.apply(
            USER.substitute(name=name, node=node, command=command, image=OPERATOR_IMAGE)
        )
        kubectl.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
    assert kubectl.run("logs", "reader") == "kept\n"
    kubectl.run("delete", "pod", "writer", "reader")


READER = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
"""
ASK = """
import os, pathlib, ssl, sys, urllib.error, urllib.request
folder = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
space, token = [(folder / name).read_text() for name in ("namespace", "token")]
context = ssl.create_default_context(cafile=folder / "ca.crt")
for kind in sys.argv[1:]:
    url = f"https://kubernetes.default/api/v1/namespaces/{space}/{kind}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        print(kind, urllib.request.urlopen(request, context=context).status)
    except urllib.error.HTTPError as error:
        print(kind, error.code)
"""
ASKER = Template("""\
apiVersion: v1
kind: Pod
metadata: {name: asker}
spec:
  serviceAccountName: reader
  restartPolicy: Never
  containers:
  - name: asker
    image: $image
    command: [python, -c, $script, pods, secrets]
""")


def test_a_pod_may_do_what_its_role_says_and_no_more(kubectl: Kubectl) -> None:
    """It asks the API server by name, with its own token."""
    kubectl.apply(READER)
    kubectl.apply(ASKER.substitute(image=OPERATOR_IMAGE, script=json.dumps(ASK)))
    kubectl.wait("pod/asker", "jsonpath={.status.phase}=Succeeded")
    assert kubectl.run("logs", "asker") == "pods 200\nsecrets 403\n"
    with pytest.raises(RuntimeError, match="cannot list resource"):
        kubectl.impersonate("reader").run("get", "secrets")


def test_nodes_report_their_own_network(cluster: Cluster) -> None:
    """No node has a way out."""
    for machine in cluster.nodes:
        command = machine.enter("ip", "route", "show", "default")
        assert subprocess.check_output(command) == b""
