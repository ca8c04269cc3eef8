"""A way from a network namespace to a server of this machine, that can be cut."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLONE_NEWNET = 0x40000000
_BYTES = 1 << 16


def make_inside(network: str, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket of a network namespace, made there by a thread that ends."""
    made: list[socket.socket | BaseException] = []

    def enter() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        try:
            with Path("/run/netns", network).open("rb") as file:
                refused = library.setns(file.fileno(), _CLONE_NEWNET)
            number = ctypes.get_errno()
            made.append(OSError(number, os.strerror(number)) if refused else make())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    (outcome,) = made
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@dataclass
class Relay:
    """Takes connections to a port of loopback in there to the same port out here."""

    listener: socket.socket
    port: int
    is_cut: bool = False
    is_frozen: bool = False
    _pairs: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Breaks all connections, and takes no more."""
        self.is_cut = True
        self._break()

    def freeze(self) -> None:
        """Lets nothing pass, and does not say so."""
        self.is_frozen = True

    def restore(self) -> None:
        """Takes connections again; those that were frozen are broken."""
        if self.is_frozen:
            self._break()
        self.is_cut = self.is_frozen = False

    def run(self) -> None:
        """Takes connections until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                inner, _ = self.listener.accept()
                if self.is_cut:
                    inner.close()
                    continue
                outer = socket.create_connection(("127.0.0.1", self.port))
                self._pairs += [inner, outer]
                for one, other in ((inner, outer), (outer, inner)):
                    _start(self._carry, one, other)

    def close(self) -> None:
        """Takes no more connections."""
        self.is_cut = True
        # Wakes who accepts, unlike a close.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._break()

    def _break(self) -> None:
        for each in self._pairs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._pairs.clear()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (data := one.recv(_BYTES)) and not self.is_frozen:
                other.sendall(data)
            if self.is_frozen:
                return
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def run_relay(network: str, port: int) -> Iterator[Relay]:
    """Relays as long as it is needed."""
    listener = make_inside(network, lambda: socket.create_server(("127.0.0.1", port)))
    relay = Relay(listener, port)
    _start(relay.run)
    try:
        yield relay
    finally:
        relay.close()


def _start(call: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=call, args=arguments, daemon=True).start()
