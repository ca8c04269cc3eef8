"""What leaves a network namespace, as the kernel sees it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from relay import make_inside

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALL, _IPV4 = 0x0003, b"\x08\x00"
_BYTES = 1 << 16
_LOOK_SECONDS = 0.2


@dataclass
class Wiretap:
    """The IPv4 packets that were sent: when, and where to."""

    tap: socket.socket
    sent: list[tuple[float, IPv4Address]] = field(default_factory=list)
    is_over: bool = False

    def run(self) -> None:
        """Listens until it is over."""
        while not self.is_over:
            with contextlib.suppress(TimeoutError):
                frame, (_, _, kind, *_) = self.tap.recvfrom(_BYTES)
                if kind == socket.PACKET_OUTGOING and frame[12:14] == _IPV4:
                    self.sent.append((time.monotonic(), IPv4Address(frame[30:34])))

    def since(self, moment: float) -> list[IPv4Address]:
        """Where packets went from a moment on."""
        return [to for at, to in self.sent if at >= moment]

    def listen(self, seconds: float) -> list[IPv4Address]:
        """Where packets go from now on, for some time."""
        now = time.monotonic()
        time.sleep(seconds)
        return self.since(now)


@contextlib.contextmanager
def tap_wire(network: str, link: str) -> Iterator[Wiretap]:
    """Listens as long as it is needed."""

    def open_tap() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        made.bind((link, 0))
        made.settimeout(_LOOK_SECONDS)
        return made

    with make_inside(network, open_tap) as tap:
        wire = Wiretap(tap)
        listener = threading.Thread(target=wire.run)
        listener.start()
        try:
            yield wire
        finally:
            wire.is_over = True
            listener.join()
