"""The network of a cluster: namespaces, the bridge between them, routes.

Nothing leads out of it: no namespace has a default route, and this host has one link
into the network, over which it forwards nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.layout import SERVICES, Layout
from devcluster.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devcluster.layout import Member

_LINKS = Path("/sys/class/net")
_NAMES = Path("/run/netns")
BRIDGE = "br0"
"""The link of the control plane to all others."""
_HOST_PORT = "host"
NODE_LINK = "eth0"
"""A node's link into the cluster; that into the simulated Internet is sim0."""

# Only a pod in the node's own network is a vantage point: what other pods send to the
# simulated Internet would carry their own addresses, and is dropped.
_FORWARDING = """
table inet devcluster
flush table inet devcluster
table inet devcluster {
    chain forward {
        type filter hook forward priority filter - 10
        oifname "sim0" counter drop
    }
}
"""

# Run with mounts of its own: once the file is no mount point there, it can be removed,
# and the kernel takes all mounts on it away, everywhere. `ip netns add` may have put a
# mount on the folder meanwhile, which hides the one on the file from `ip netns delete`;
# so it is looked for layer by layer.
_REMOVE_NAME = """
cd /
until
    while umount --lazy "$1/$2" 2>/dev/null; do :; done
    said=$(rm --force "$1/$2" 2>&1)
do
    umount --lazy "$1" 2>/dev/null || { echo "$said" >&2; exit 1; }
done
"""


def make_network(layout: Layout) -> None:
    """Makes all that is missing of it.

    Raises:
        RuntimeError: When its addresses are in use here.
    """
    _check_free(layout)
    bridge = layout.control_plane
    for member in layout.members:
        _make_namespace(member)
    if not _has_link(bridge, BRIDGE):
        _configure(bridge, [f"link add {BRIDGE} type bridge"])
    if not _has_link(bridge, _HOST_PORT):
        _remove_host_link(layout)
        here = f"peer name {layout.host_link} netns {os.getpid()}"
        _configure(bridge, [f"link add {_HOST_PORT} type veth {here}"])
    for node in layout.nodes:
        if not _has_link(bridge, node.name):
            there = f"peer name {NODE_LINK} netns {node.unique_name}"
            _configure(bridge, [f"link add {node.name} type veth {there}"])
    _configure(bridge, _bridge_lines(layout))
    reset_delay(layout)
    _configure(None, _host_lines(layout))
    for node in layout.nodes:
        _configure(node, _node_lines(layout, node))
        enter = ("nsenter", f"--net={node.netns}")
        run_tool(*enter, "nft", "--file", "-", stdin=_FORWARDING)


def remove_network(number: int) -> None:
    """Removes the links and namespaces of a cluster."""
    _remove_host_link(Layout(number))
    for name in find_namespaces(number):
        alone = ("unshare", "--mount", "--propagation=private")
        run_tool(*alone, "sh", "-c", _REMOVE_NAME, "sh", _NAMES, name)


def find_namespaces(number: int) -> list[str]:
    """The names of a cluster's namespaces that are there."""
    return sorted(each.name for each in _NAMES.glob(f"ab{number}-*"))


def set_link(layout: Layout, node: Member, *, up: bool) -> None:
    """Pulls a node's cable from the bridge, or plugs it in again."""
    state = "up" if up else "down"
    _configure(layout.control_plane, [f"link set {node.name} {state}"])


def reset_delay(layout: Layout) -> None:
    """Lets packets reach the API server without a detour that there may be."""
    enter = ("nsenter", f"--net={layout.control_plane.netns}")
    run_tool(*enter, "nft", "table inet delay; delete table inet delay")


def _make_namespace(member: Member) -> None:
    """Makes a network namespace that has a name, unless it is there.

    As ``ip netns add`` does, but that would turn the folder into a mount for good.
    """
    # Path.is_mount is about folders alone, in Python 3.11.
    if os.path.ismount(member.netns):
        return
    _NAMES.mkdir(exist_ok=True)
    member.netns.touch()
    run_tool("unshare", f"--net={member.netns}", "true")


def _remove_host_link(layout: Layout) -> None:
    """Removes this host's link into the network, if there is one.

    A namespace that has lost its name lives on, with its links, while its last sockets
    wait for answers; then the kernel removes them, which may be right now.
    """
    link = _LINKS / layout.host_link
    if link.exists():
        try:
            run_tool("ip", "link", "delete", link.name)
        except RuntimeError:
            if link.exists():
                raise


def _bridge_lines(layout: Layout) -> Iterable[str]:
    yield "link set lo up"
    address, length = layout.control_plane.address, layout.network.prefixlen
    yield f"address replace {address}/{length} dev {BRIDGE}"
    yield f"link set {BRIDGE} up"
    for port in (_HOST_PORT, *(node.name for node in layout.nodes)):
        yield f"link set {port} master {BRIDGE} up"
    # CoreDNS answers pods, and the API server calls their webhooks.
    for node in layout.nodes:
        yield f"route replace {node.pods} via {node.address}"


def _host_lines(layout: Layout) -> Iterable[str]:
    length = layout.network.prefixlen
    yield f"address replace {layout.host_address}/{length} dev {layout.host_link}"
    yield f"link set {layout.host_link} up"


def _node_lines(layout: Layout, node: Member) -> Iterable[str]:
    yield "link set lo up"
    yield f"address replace {node.address}/{layout.network.prefixlen} dev {NODE_LINK}"
    yield f"link set {NODE_LINK} up"
    # kube-proxy translates addresses of services behind the choice of a route: without
    # one, processes of the node itself would find the network unreachable.
    yield f"route replace {SERVICES} dev {NODE_LINK}"
    for other in layout.nodes:
        if other != node:
            yield f"route replace {other.pods} via {other.address}"


def _check_free(layout: Layout) -> None:
    routes = run_tool("ip", "-4", "route", "show", "root", str(layout.network))
    others = [line for line in routes.splitlines() if layout.host_link not in line]
    if others:
        message = (
            f"{layout.network} is in use here ({others[0].strip()}): choose another "
            "number"
        )
        raise RuntimeError(message)


def _configure(member: Member | None, lines: Iterable[str]) -> None:
    """Has ip work off lines in the namespace of a member, or in this one."""
    where = ("-netns", member.unique_name) if member else ()
    run_tool("ip", *where, "-batch", "-", stdin="\n".join(lines))


def _has_link(member: Member, link: str) -> bool:
    links = run_tool("ip", "-netns", member.unique_name, "-brief", "link")
    return any(line.split()[0].split("@")[0] == link for line in links.splitlines())
