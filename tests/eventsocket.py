"""A program that plays M-Lab's tcp-info: it tells of connections at a unix socket."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count(1)


@dataclass
class TcpInfo:
    """The connections of a server with an address and a port."""

    server: str = "198.18.0.2"
    port: int = 443
    _listeners: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _came: threading.Event = field(default_factory=threading.Event)

    def serve(self, opened: socket.socket) -> None:
        """Takes whoever wants to hear, until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                listener, _ = opened.accept()
                with self._lock:
                    self._listeners.append(listener)
                self._came.set()

    def await_listener(self, seconds: float) -> None:
        """Waits until somebody listens, who has come since the last time."""
        assert self._came.wait(seconds), "nobody listens"
        self._came.clear()

    def await_leave(self) -> None:
        """Waits until whoever listens has gone."""
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            assert listener.recv(1) == b""

    def end(self, *clients: str) -> None:
        """Tells of a connection of each client that has begun and ended."""
        for client in clients:
            self.end_port(client, 50_000)

    def end_port(self, client: str, port: int) -> None:
        """Tells of a connection from a port of a client that has begun and ended."""
        number = next(_numbers)
        uuid = f"host_1700000000_{number:016X}"
        ends = {
            "SPort": self.port,
            "DPort": port,
            "SrcIP": self.server,
            "DstIP": client,
            "Interface": 0,
            "Cookie": number,
        }
        self._tell(Event=0, UUID=uuid, ID=ends)
        self._tell(Event=1, UUID=uuid, ID=None)

    def say(self, content: bytes) -> None:
        """Says anything at all to all who listen."""
        with self._lock:
            for listener in self._listeners:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    listener.sendall(content)

    def leave(self) -> None:
        """Ends the connections to all who listen."""
        with self._lock:
            for listener in self._listeners:
                listener.close()
            self._listeners.clear()

    def _tell(self, **event: Any) -> None:
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.say(json.dumps({"Timestamp": when, **event}).encode() + b"\n")


@contextlib.contextmanager
def play_tcp_info(path: Path) -> Iterator[TcpInfo]:
    """Plays tcp-info at a path; the socket is gone afterwards."""
    info = TcpInfo()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))
        opened.listen()
        thread = threading.Thread(target=info.serve, args=(opened,))
        thread.start()
        try:
            yield info
        finally:
            opened.shutdown(socket.SHUT_RDWR)
            thread.join()
            info.leave()
            path.unlink()
