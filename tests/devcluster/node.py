"""What runs on a node's machine: containerd, kubelet, kube-proxy."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from devcluster.layout import DNS_SERVICE, DOMAIN, INSIDE, PODS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devcluster.layout import Layout, Member
    from devcluster.pki import Authority

PAUSE_IMAGE = "localhost/pause:1"
"""What holds the namespaces of a pod."""
PROXY_PORT = 10256
"""Where kube-proxy says whether services work."""

_PKI = INSIDE / "pki"
_OTHER_SNAPSHOTTERS = ("aufs", "btrfs", "devmapper", "zfs")
_CRI = 'plugins."io.containerd.grpc.v1.cri"'


def issue_certificates(layout: Layout, node: Member, authority: Authority) -> None:
    """Makes kubelet's certificates, as client and as server, and its kubeconfig."""
    user = f"system:node:{node.name}"
    authority.issue(node.name, user, group="system:nodes")
    authority.issue(
        f"{node.name}-serving", user, addresses=(node.address,), hosts=(node.name,)
    )
    path = layout.folder / f"{node.name}.conf"
    authority.write_kubeconfig(path, layout.url, node.name)


def write_config(node: Member, folder: Path) -> None:
    """Writes what its programs read into the machine's folder."""
    (folder / "cni").mkdir(parents=True, exist_ok=True)
    (folder / "resolv.conf").write_text("")
    (folder / "containerd.toml").write_text(_containerd_config(node))
    for path, config in {
        "cni/10-pods.conflist": _pod_network(node),
        "kubelet.yaml": _kubelet_config(node),
        "kube-proxy.yaml": _proxy_config(node),
    }.items():
        (folder / path).write_text(json.dumps(config, indent=1))


def list_services(node: Member) -> Mapping[str, str]:
    """The services, each a shell script."""
    folder = INSIDE / node.name
    kubelet = [
        "kube",
        "kubelet",
        f"--kubeconfig={INSIDE}/{node.name}.conf",
        f"--config={folder}/kubelet.yaml",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]
    proxy = ["kube", "kube-proxy", f"--config={folder}/kube-proxy.yaml"]
    containerd = ["containerd", f"--config={folder}/containerd.toml"]
    return {
        "containerd": f"exec {shlex.join(containerd)}\n",
        "kubelet": f"exec {shlex.join(kubelet)}\n",
        "kube-proxy": f"exec {shlex.join(proxy)}\n",
    }


def _pod_network(node: Member) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(node.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "mtu": 1500, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _containerd_config(node: Member) -> str:
    disabled = ["io.containerd.internal.v1.opt"]
    disabled += [f"io.containerd.snapshotter.v1.{name}" for name in _OTHER_SNAPSHOTTERS]
    # Without privileges over the whole machine, nobody's score can be lowered.
    return f"""\
version = 2
disabled_plugins = {json.dumps(disabled)}
[{_CRI}]
restrict_oom_score_adj = true
sandbox_image = "{PAUSE_IMAGE}"
[{_CRI}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{INSIDE / node.name}/cni"
[{_CRI}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[{_CRI}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def _kubelet_config(node: Member) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{_PKI}/{node.name}-serving.crt",
        "tlsPrivateKeyFile": f"{_PKI}/{node.name}-serving.key",
        "clusterDNS": [str(DNS_SERVICE)],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{INSIDE}/{node.name}/resolv.conf",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.unique_name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "nodeStatusUpdateFrequency": "5s",
        # Images that are removed can't be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
    }


def _proxy_config(node: Member) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{INSIDE}/kube-proxy.conf"},
        "mode": "nftables",
        "clusterCIDR": str(PODS),
        "hostnameOverride": node.name,
        "bindAddress": str(node.address),
        "healthzBindAddress": f"{node.address}:{PROXY_PORT}",
        # These limits are the whole machine's, and can't be set from here: 0 is to
        # leave them alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
