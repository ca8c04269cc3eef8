"""What leaves a network namespace, as the kernel sees it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from relay import make_inside

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALL, _IPV4 = 0x0003, b"\x08\x00"
_BYTES, _NOTES = 1 << 16, 64
_SO_TIMESTAMPNS = 35
_LOOK_SECONDS = 0.2


@dataclass
class Wiretap:
    """The IPv4 packets that were sent: when, by the kernel's clock, and where to."""

    tap: socket.socket
    sent: list[tuple[float, IPv4Address]] = field(default_factory=list)
    is_over: bool = False

    def run(self) -> None:
        """Listens until it is over."""
        while not self.is_over:
            with contextlib.suppress(TimeoutError):
                frame, notes, _, (_, _, kind, *_) = self.tap.recvmsg(_BYTES, _NOTES)
                if kind == socket.PACKET_OUTGOING and frame[12:14] == _IPV4:
                    seconds, ns = struct.unpack("qq", notes[0][2])
                    self.sent.append((seconds + ns / 1e9, IPv4Address(frame[30:34])))

    def between(self, first: float, last: float) -> list[IPv4Address]:
        """Where packets went between two moments, in seconds since 1970."""
        return [to for at, to in self.sent if first <= at < last]

    def listen(self, seconds: float) -> list[IPv4Address]:
        """Where packets go from now on, for some time."""
        now = time.time()
        time.sleep(seconds + _LOOK_SECONDS)
        return self.between(now, now + seconds)


@contextlib.contextmanager
def tap_wire(network: str, link: str) -> Iterator[Wiretap]:
    """Listens as long as it is needed."""

    def open_tap() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        made.bind((link, 0))
        made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
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
