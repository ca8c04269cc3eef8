"""Events of M-Lab's tcp-info: lines of JSON about connections that begin and end.

https://github.com/m-lab/tcp-info, eventsocket: an event 0 says that a connection begins
and which ends it has; an event 1 that the one of that UUID has ended.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from anabranch.connections.closing import (
    Address,
    Closing,
    Heard,
    order_ends,
    read_address,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_OPEN = 1_000_000
"""The most open connections that are remembered; the oldest are forgotten first."""
MAX_LINE = 1 << 16
"""The longest line, in bytes."""
_MAX_UUID = 256
_OPEN, _CLOSED = 0, 1
_MAX_PORT = 65_535


@dataclass
class EventReader:
    """A reader of what tcp-info sends, byte by byte as it comes."""

    is_local: Callable[[Address], bool]
    ports: frozenset[int]
    """The servers' ports that count; all if there are none."""
    _open: OrderedDict[str, Closing | None] = field(default_factory=OrderedDict)
    """Those that have begun; None stands for one that does not count."""
    _rest: bytes = b""
    _is_passing_over: bool = False
    """Whether a line is too long, and what comes of it is passed over."""

    def read(self, content: bytes, heard: Heard) -> None:
        """Add to ``heard`` what the next bytes say."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            if self._is_passing_over:
                self._is_passing_over = False
                continue
            try:
                closing = self._read_line(line, heard)
            except (ValueError, KeyError, TypeError, RecursionError):
                heard.unreadable += 1
            else:
                heard.closings += [closing] if closing else []
        if len(self._rest) > MAX_LINE:
            heard.unreadable += not self._is_passing_over
            self._is_passing_over, self._rest = True, b""

    def forget(self) -> None:
        """Forget what was said before the connection to tcp-info was lost."""
        self._open.clear()
        self._rest, self._is_passing_over = b"", False

    def _read_line(self, line: bytes, heard: Heard) -> Closing | None:
        if not line.strip():
            return None
        if len(line) > MAX_LINE:
            raise ValueError("it is too long")
        event: dict[str, Any] = json.loads(line)
        uuid = event["UUID"]
        # It becomes part of a file's name.
        if not isinstance(uuid, str) or not 0 < len(uuid) <= _MAX_UUID:
            raise ValueError("it has no UUID")
        if not uuid.isascii() or not uuid.isprintable() or set(uuid) & set('/\\"'):
            raise ValueError("its UUID is no name of a file")
        at = datetime.fromisoformat(event["Timestamp"]).timestamp()
        if event["Event"] == _OPEN:
            self._open[uuid] = self._begin(uuid, event["ID"], at)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
            return None
        if event["Event"] != _CLOSED:
            raise ValueError("there is no such event")
        if uuid not in self._open:
            heard.unseen += 1
            return None
        begun = self._open.pop(uuid)
        if begun is None:
            return None
        return Closing(
            uuid,
            begun.client,
            begun.client_port,
            begun.server,
            begun.server_port,
            at,
        )

    def _begin(self, uuid: str, ends: dict[str, Any], at: float) -> Closing | None:
        ours = (read_address(ends["SrcIP"]), _read_port(ends["SPort"]))
        theirs = (read_address(ends["DstIP"]), _read_port(ends["DPort"]))
        ordered = order_ends(ours, theirs, self.is_local)
        if ordered is None:
            return None
        (server, server_port), (client, client_port) = ordered
        if self.ports and server_port not in self.ports:
            return None
        return Closing(uuid, client, client_port, server, server_port, at)


def _read_port(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_PORT:
        raise ValueError(f"{value!r} is no port")
    return value
