"""Where everything of a cluster is: its names, addresses and files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from devcluster.binaries import cache_folder

MAX_CLUSTERS = 100
MAX_NODES = 50
INSIDE = Path("/srv")
"""Where machines see the cluster's folder."""

DOMAIN = "cluster.local"
SERVICES = IPv4Network("10.97.0.0/16")
PODS = IPv4Network("10.245.0.0/16")
API_SERVICE = SERVICES[1]
DNS_SERVICE = SERVICES[10]
API_PORT = 6443


@dataclass(frozen=True)
class Member:
    """A machine of a cluster: its name there, on this machine, and its address."""

    name: str
    unique_name: str
    """Of its network namespace, its cgroups and its host name."""
    address: IPv4Address
    pods: IPv4Network | None = None
    """What its pods have addresses of, if it is a node."""

    @property
    def netns(self) -> Path:
        """The file of its network namespace."""
        return Path("/run/netns") / self.unique_name


@dataclass(frozen=True)
class Layout:
    """A cluster of this machine, by its number; no two have anything in common."""

    number: int
    size: int = 2
    """How many nodes it has."""

    def __post_init__(self) -> None:
        """Refuses what names and addresses have no room for."""
        if not 0 <= self.number < MAX_CLUSTERS:
            message = f"clusters have numbers from 0 to {MAX_CLUSTERS - 1}"
            raise ValueError(message)
        if not 1 <= self.size <= MAX_NODES:
            message = f"a cluster has 1 to {MAX_NODES} nodes"
            raise ValueError(message)

    @property
    def folder(self) -> Path:
        """All its files."""
        return clusters_folder() / str(self.number)

    @property
    def network(self) -> IPv4Network:
        """The one that its machines and this host share."""
        return IPv4Network(f"10.78.{self.number}.0/24")

    @property
    def host_link(self) -> str:
        """The link of this host into that network."""
        return self._name("host")

    @property
    def host_address(self) -> IPv4Address:
        """The address of this host there."""
        return self.network[254]

    @cached_property
    def control_plane(self) -> Member:
        """Where etcd, the API server and the controllers are, and the bridge."""
        return Member("cp", self._name("cp"), self.network[1])

    @cached_property
    def nodes(self) -> tuple[Member, ...]:
        """The nodes, n1 and so on."""
        ranges = PODS.subnets(new_prefix=24)
        next(ranges)
        return tuple(
            Member(f"n{i}", self._name(f"n{i}"), self.network[10 + i], pods)
            for i, pods in zip(range(1, self.size + 1), ranges, strict=False)
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """All machines."""
        return (self.control_plane, *self.nodes)

    @property
    def url(self) -> str:
        """The API server's."""
        return f"https://{self.control_plane.address}:{API_PORT}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.conf"

    def _name(self, part: str) -> str:
        return f"ab{self.number}-{part}"


def clusters_folder() -> Path:
    """Where clusters are, each in a folder named by its number."""
    return cache_folder() / "clusters"
