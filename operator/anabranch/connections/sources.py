"""Where events come from: tcp-info's socket, or the kernel."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from anabranch.connections.closing import Heard, Missed
from anabranch.connections.sockdiag import GROUPS, NETLINK_SOCK_DIAG, read_messages
from anabranch.connections.tcpinfo import EventReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.api.connections import Connections
    from anabranch.connections.closing import Address

_BUFFER = 32 << 20
"""What the kernel keeps for us, in bytes: a second of some 100,000 connections."""
_MOST_BYTES = 1 << 20
"""The most bytes that are read at once, so that traces go on meanwhile."""
_DATAGRAM = 1 << 16
_RETRY_SECONDS = 1.0
_SO_RCVBUFFORCE = 33
_REMEDY = "start tcp-info, or correct the Agent's eventSocket"


class Source(Protocol):
    """A source of events."""

    @property
    def heard_until(self) -> float | None:
        """Until when nothing was missed, in seconds since 1970; None if never."""

    @property
    def trouble(self) -> str:
        """What keeps it from hearing, if anything does."""

    def hear(self, now: float) -> Heard:
        """Return what has come since it was asked last, without a wait.

        ``now`` is the time in seconds since 1970.
        """

    def close(self) -> None:
        """Listen no more."""


@dataclass
class TcpInfo:
    """The event socket of M-Lab's tcp-info. When it goes, it is tried again."""

    path: Path
    ports: frozenset[int]
    heard_until: float | None
    """When it was listened to last, before a restart."""
    trouble: str = ""
    """What is wrong with the socket, if anything is."""
    _socket: socket.socket | None = None
    _tried: float = 0.0
    _reader: EventReader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = EventReader(is_local, self.ports)

    def hear(self, now: float) -> Heard:
        """Return what has come since it was asked last."""
        heard = Heard()
        if self._socket is None and not self._connect(now, heard):
            return heard
        left = _MOST_BYTES
        while left > 0 and self._socket:
            try:
                content = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                self._lose(os.strerror(error.errno or errno.EIO))
                return heard
            if not content:
                self._lose("tcp-info has closed it")
                return heard
            left -= len(content)
            self._reader.read(content, heard)
        if heard.unseen:
            # tcp-info names their clients only when they begin.
            reason = f"{heard.unseen} connections ended that began unheard"
            heard.missed.append(Missed(now, now, reason))
        self.heard_until = now
        return heard

    def close(self) -> None:
        """Listen no more."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _connect(self, now: float, heard: Heard) -> bool:
        if 0 <= now - self._tried < _RETRY_SECONDS:
            return False
        self._tried = now
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(self.path))
        except OSError as error:
            made.close()
            why = os.strerror(error.errno or errno.EIO)
            self.trouble = f"{self.path}: {why}; {_REMEDY}"
            return False
        made.settimeout(0)
        self._socket, self.trouble = made, ""
        if self.heard_until is not None:
            reason = "tcp-info's socket was not there, or nobody listened"
            heard.missed.append(Missed(self.heard_until, now, reason))
        self.heard_until = now
        return True

    def _lose(self, why: str) -> None:
        self.trouble = f"{self.path}: {why}; {_REMEDY}"
        self.close()
        self._reader.forget()


@dataclass
class Kernel:
    """The sockets of this thread's network namespace that the kernel destroys."""

    ports: frozenset[int]
    prefix: str
    """What the UUIDs of connections begin with."""
    heard_until: float | None
    """When it was listened to last, before a restart."""
    trouble: str = ""
    _socket: socket.socket = field(init=False)
    _is_new: bool = True

    def __post_init__(self) -> None:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        try:
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            # Without CAP_NET_ADMIN it is as large as the system lets it be.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        made.bind((0, GROUPS))
        made.settimeout(0)
        self._socket = made

    def hear(self, now: float) -> Heard:
        """Return what has come since it was asked last."""
        heard = Heard()
        if self._is_new and self.heard_until is not None:
            heard.missed.append(Missed(self.heard_until, now, "nobody listened"))
        self._is_new = False
        left = _MOST_BYTES
        while left > 0:
            try:
                datagram = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                reason = "more connections ended than the kernel keeps"
                heard.missed.append(Missed(self.heard_until or now, now, reason))
                continue
            left -= len(datagram)
            heard.closings += read_messages(
                datagram,
                prefix=self.prefix,
                ports=self.ports,
                is_local=is_local,
                now=now,
            )
        self.heard_until = now
        return heard

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def open_source(
    connections: Connections,
    *,
    hostname: str,
    event_socket: Path | None,
    heard_until: float | None,
) -> Source:
    """Listen to the source of events that a standing measurement names.

    ``hostname`` is that of UUIDs. ``heard_until`` is when somebody listened last.

    Raises:
        OSError: If the kernel refuses.
        ValueError: If there is no event socket to listen to, with the remedy.
    """
    ports = frozenset(connections.ports)
    if connections.source == "kernel":
        return Kernel(ports, name_boot(hostname), heard_until)
    if event_socket is None:
        raise ValueError("source eventSocket takes an agent with an eventSocket")
    return TcpInfo(event_socket, ports, heard_until)


def is_local(address: Address) -> bool:
    """Return whether an address is of this host, in this thread's network namespace."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 (IPv4)
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError:
            return False
    return True


def name_boot(hostname: str, read: Callable[[], str] | None = None) -> str:
    """Return what M-Lab's UUIDs begin with: a host, and when it was booted.

    https://github.com/m-lab/uuid. ``read`` returns the content of /proc/stat.
    """
    content = read() if read else Path("/proc/stat").read_text()
    (line,) = (each for each in content.splitlines() if each.startswith("btime "))
    return f"{hostname}_{line.split()[1]}"
