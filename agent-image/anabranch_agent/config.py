"""The agent's settings, which its pod gives it, and the times that it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = range(1, 1 << 16)


class ConfigError(Exception):
    """An error in the environment, with the variable and the remedy."""


@dataclass(frozen=True)
class Config:
    """The environment of the pod, read once."""

    agent: str
    """The name of the Agent that this process is."""
    namespace: str
    """The system namespace."""
    pod_uid: str
    """The name by which the Lease knows this process."""
    host_ip: str
    """The address at which health and metrics are served."""
    health_port: int
    bucket: str
    endpoint: str | None
    """The URL of the store; AWS's own by default."""
    scratch: Path
    """The folder for plans, and for parts that are not stored yet."""
    watch_namespaces: tuple[str, ...]
    """The namespaces in which Rounds are looked for; empty for all."""
    waiting_bytes: int
    """How many bytes may wait for the store before the agent stops sending."""
    event_socket: Path | None = None
    """The socket at which tcp-info tells of connections, if there is one."""
    annotation_socket: Path | None = None
    """The socket of uuid-annotator; None if there is none."""

    @staticmethod
    def read(environment: Mapping[str, str]) -> Config:
        """Read the variables that the operator sets.

        Raises:
            ConfigError: When a variable is missing or wrong, for the first such one.
        """

        def need(name: str, remedy: str) -> str:
            if value := environment.get(name, ""):
                return value
            raise ConfigError(f"{name} is not set: {remedy}")

        host_ip = need("ANABRANCH_HOST_IP", "set it to status.hostIP of the pod")
        try:
            ip_address(host_ip)
        except ValueError:
            message = f"ANABRANCH_HOST_IP: {host_ip!r} is no address; use status.hostIP"
            raise ConfigError(message) from None
        port = need("ANABRANCH_HEALTH_PORT", "set it to a free port, such as 9465")
        if not (port.isdecimal() and int(port) in _PORTS):
            message = f"ANABRANCH_HEALTH_PORT: {port!r} is no port; use 1 to 65535"
            raise ConfigError(message)
        waiting = environment.get("ANABRANCH_WAITING_BYTES", str(1 << 30))
        if not waiting.isdecimal():
            message = (
                f"ANABRANCH_WAITING_BYTES: {waiting!r} is no number of bytes; use half "
                f"of the size of ANABRANCH_SCRATCH, such as {1 << 30}"
            )
            raise ConfigError(message)
        events = environment.get("ANABRANCH_EVENT_SOCKET", "")
        annotations = environment.get("ANABRANCH_ANNOTATION_SOCKET", "")
        namespaces = environment.get("ANABRANCH_WATCH_NAMESPACES", "")
        return Config(
            agent=need("ANABRANCH_AGENT", "set it to the name of the Agent"),
            namespace=need("ANABRANCH_NAMESPACE", "set it to the system namespace"),
            pod_uid=need("ANABRANCH_POD_UID", "set it to metadata.uid of the pod"),
            host_ip=host_ip,
            health_port=int(port),
            bucket=need("ANABRANCH_STORE_BUCKET", "set it to the bucket of the store"),
            endpoint=environment.get("ANABRANCH_STORE_ENDPOINT") or None,
            scratch=Path(need("ANABRANCH_SCRATCH", "set it to a folder for parts")),
            watch_namespaces=tuple(name for name in namespaces.split(",") if name),
            waiting_bytes=int(waiting),
            event_socket=Path(events) if events else None,
            annotation_socket=Path(annotations) if annotations else None,
        )


@dataclass(frozen=True)
class Times:
    """Time limits and intervals, in seconds."""

    lease: float = 40
    """How long after the start of the last successful renewal probes may be sent."""
    renew: float = 10
    """The interval between renewals of the Lease."""
    takeover: float = 80
    """How long another process's Lease must stand still before it is taken."""
    check: float = 0.5
    """The interval at which the dead man's switch and everything else is checked."""
    request: float = 8
    """The longest time that the API server may take for an answer."""
    silence: float = 120
    """How long a watch may be silent before it is replaced.

    An API server that has no news says so about once a minute.
    """
    patience: float = 5
    """How long the store may take for an object before it counts as unavailable."""
    status: float = 10
    """The interval between statuses of a Round, if only numbers change."""
    backoff: float = 0.5
    """The first wait after a failure; it doubles with each failure."""
    most_backoff: float = 30
    """The longest wait after a failure."""
    part: float = 60
    """The longest time in which the probes of a part are sent."""
    stop: float = 40
    """The longest time that a stop may take."""
