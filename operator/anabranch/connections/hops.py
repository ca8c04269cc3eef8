"""What is known about the addresses that traces met, as M-Lab's hopannotation1 has it.

https://github.com/m-lab/traceroute-caller, hopannotation;
https://github.com/m-lab/uuid-annotator, annotator and ipservice.
"""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from anabranch_engine import Annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anabranch_engine import Annotation

    from anabranch.store.store import Store

Told = dict[str, Any]
"""What is known about an address: ``Geo`` and ``Network``."""
_TIMEOUT_SECONDS = 2.0
"""An agent that ends waits for it; what was not told is asked for again."""
_LOOK_SECONDS = 600.0
"""How often it looks whether objects were replaced."""
_MOST_BYTES = 64 << 20
_MISSING = {"Missing": True}
_REMEDY = "start uuid-annotator, or correct the Agent's annotationSocket"


class Annotator(Protocol):
    """Somebody who knows about addresses."""

    def annotate(self, addresses: Sequence[str]) -> dict[str, Told]:
        """Return what is known about addresses, by address; some may be left out.

        Raises:
            OSError: If there is no answer now; it can be asked again.
        """


@dataclass
class FileAnnotator:
    """What objects of the store say: those of a measurement's `annotateFrom`.

    They are read again after a user has replaced one.
    """

    store: Store
    keys: Sequence[str]
    """The most trusted object first."""
    folder: Path
    """Where copies of them are for a while."""
    clock: Callable[[], float] = time.monotonic
    """The time in seconds since any moment."""
    _known: Annotations | None = None
    _stamps: list[str] = field(default_factory=list)
    _looked: float = 0.0
    """When it looked whether they were replaced, by the clock."""

    def annotate(self, addresses: Sequence[str]) -> dict[str, Told]:
        """Return what is known about addresses, by address."""
        known = self._look()
        return {each: _tell(known.find(ip_address(each))) for each in addresses}

    def _look(self) -> Annotations:
        """Return what the objects say, as of some minutes ago."""
        now = self.clock()
        if self._known and now < self._looked + _LOOK_SECONDS:
            return self._known
        # An object that is replaced behind this is read again later.
        stamps = [self.store.find_stamp(key) for key in self.keys]
        if self._known is None or stamps != self._stamps:
            # Two of them may not fit into memory.
            self._known = None
            self._known, self._stamps = self._load(), stamps
        self._looked = now
        return self._known

    def _load(self) -> Annotations:
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            files = [self.store.fetch(key, Path(scratch)) for key in self.keys]
            try:
                return Annotations(files)
            except ValueError as error:
                raise OSError(f"annotateFrom: {error}") from error


@dataclass(frozen=True)
class SocketAnnotator:
    """M-Lab's uuid-annotator, by its unix socket."""

    path: Path

    def annotate(self, addresses: Sequence[str]) -> dict[str, Told]:
        """Return what is known about addresses, by address."""
        query = urlencode([("ip", each) for each in addresses])
        connection = _UnixConnection(self.path)
        try:
            connection.request("GET", f"/v1/annotate/ips?{query}")
            answer = connection.getresponse()
            content = answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or repr(error)
            raise OSError(f"{self.path}: {why}; {_REMEDY}") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise OSError(f"{self.path}: it answers with HTTP status {answer.status}")
        try:
            told = json.loads(content)
        except ValueError as error:
            raise OSError(f"{self.path}: its answer is no JSON: {error}") from error
        if not isinstance(told, dict):
            raise OSError(f"{self.path}: its answer is no map of addresses")
        return {each: told[each] or {} for each in addresses if each in told}


def open_annotator(
    socket_path: Path | None,
    keys: Sequence[str],
    store: Store,
    folder: Path,
) -> Annotator | None:
    """Return who knows about addresses: a socket if there is one, or objects.

    ``keys`` are those of the objects, and ``folder`` holds copies for a while.
    """
    if socket_path:
        return SocketAnnotator(socket_path)
    return FileAnnotator(store, keys, folder) if keys else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("unix", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _tell(known: Annotation) -> Told:
    network: Told = dict(_MISSING)
    if known.asn is not None:
        systems = (known.origins or str(known.asn)).split("_")
        network = {"ASNumber": known.asn}
        if known.as_name:
            network["ASName"] = known.as_name
        network["Systems"] = [
            {"ASNs": [int(each) for each in system.split(",")]} for system in systems
        ]
    geo = {"CountryCode": known.country} if known.country else _MISSING
    return {"Geo": geo, "Network": network}
