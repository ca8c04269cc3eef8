"""What runs on the control plane's machine: etcd, Kubernetes' own programs, DNS."""

from __future__ import annotations

import shlex
from string import Template
from typing import TYPE_CHECKING

from devcluster.layout import (
    API_PORT,
    API_SERVICE,
    DNS_SERVICE,
    DOMAIN,
    INSIDE,
    SERVICES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devcluster.layout import Layout
    from devcluster.pki import Authority

API_SERVER = "kube-apiserver"
"""The service that others are lost without."""
DNS_PORT = 8181
"""Where CoreDNS says whether it is ready."""

_ETCD = "http://127.0.0.1:2379"
_PKI = INSIDE / "pki"
_FRONT_PROXY = "front-proxy-client"
_USERS = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")
# Outside names have a block of their own: plugins of one block run in an order of their
# own, which has template before kubernetes.
_COREFILE = Template("""\
(common) {
    bind $address
    errors
}
$domain in-addr.arpa {
    import common
    health $address:8080
    ready $address:$ready
    kubernetes $domain in-addr.arpa {
        kubeconfig $inside/coredns.conf
        ttl 5
    }
    cache 5
}
. {
    import common
    template ANY ANY {
        rcode NXDOMAIN
    }
}
""")


def issue_certificates(
    layout: Layout, authority: Authority, front_proxy: Authority
) -> None:
    """Makes the certificates and kubeconfigs of the control plane and its clients.

    The front proxy is the API server, to the servers of further APIs.
    """
    authority.issue(
        "apiserver",
        "kube-apiserver",
        addresses=(layout.control_plane.address, API_SERVICE),
        hosts=(
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DOMAIN}",
        ),
    )
    authority.issue("kubelet-client", "kube-apiserver", group="system:masters")
    authority.issue("admin", "admin", group="system:masters")
    front_proxy.create()
    front_proxy.issue("client", _FRONT_PROXY)
    for user in _USERS:
        authority.issue(user, f"system:{user}")
    for user in ("admin", *_USERS):
        path = layout.folder / f"{user}.conf"
        authority.write_kubeconfig(path, layout.url, user)


def write_config(layout: Layout, folder: Path) -> None:
    """Writes what its programs read into the machine's folder."""
    folder.mkdir(exist_ok=True)
    corefile = _COREFILE.substitute(
        address=layout.control_plane.address,
        domain=DOMAIN,
        inside=INSIDE,
        ready=DNS_PORT,
    )
    (folder / "Corefile").write_text(corefile)


def list_services(layout: Layout) -> Mapping[str, str]:
    """The services, each a shell script."""
    corefile = INSIDE / layout.control_plane.name / "Corefile"
    commands = {
        "etcd": [
            "--data-dir=/var/lib/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ],
        API_SERVER: _api_server_flags(layout),
        "kube-controller-manager": [
            *_client_flags("kube-controller-manager"),
            f"--service-account-private-key-file={_PKI}/service-accounts.key",
            f"--root-ca-file={_PKI}/ca.crt",
            "--use-service-account-credentials",
            "--node-monitor-grace-period=20s",
            "--enable-hostpath-provisioner",
        ],
        "kube-scheduler": _client_flags("kube-scheduler"),
        "coredns": [f"-conf={corefile}"],
    }
    return {
        name: f"exec kube {shlex.join([name, *flags])}\n"
        for name, flags in commands.items()
    }


def _api_server_flags(layout: Layout) -> list[str]:
    address = layout.control_plane.address
    key = f"{_PKI}/service-accounts.key"
    return [
        f"--etcd-servers={_ETCD}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--tls-cert-file={_PKI}/apiserver.crt",
        f"--tls-private-key-file={_PKI}/apiserver.key",
        f"--client-ca-file={_PKI}/ca.crt",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # Webhooks are called by the addresses of their pods: no kube-proxy runs here.
        "--enable-aggregator-routing=true",
        f"--kubelet-certificate-authority={_PKI}/ca.crt",
        f"--kubelet-client-certificate={_PKI}/kubelet-client.crt",
        f"--kubelet-client-key={_PKI}/kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={_PKI}/front-proxy/ca.crt",
        f"--requestheader-allowed-names={_FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={_PKI}/front-proxy/client.crt",
        f"--proxy-client-key-file={_PKI}/front-proxy/client.key",
        "--profiling=false",
    ]


def _client_flags(user: str) -> list[str]:
    config = INSIDE / f"{user}.conf"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]


def read_manifests(layout: Layout) -> str:
    """What each cluster has from its start, in YAML."""
    return _MANIFESTS.substitute(dns=DNS_SERVICE, address=layout.control_plane.address)


# CoreDNS is in no pod, so it needs no image; its service is where pods look for it.
_MANIFESTS = Template("""\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: kubernetes.io/host-path
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- apiGroups: [""]
  resources: [endpoints, services, pods, namespaces]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: "system:coredns"
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: $dns
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {kubernetes.io/service-name: kube-dns}
addressType: IPv4
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
endpoints:
- {addresses: [$address], conditions: {ready: true}}
""")
