"""Archives of traces as M-Lab has them: their names, and what is in them.

https://github.com/m-lab/traceroute-caller, https://github.com/m-lab/pusher. An archive
is a compressed tar file with the traces of one day, a file for each connection.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anabranch.connections.settled import Archive, Hop, Kept

TRACES = "scamper1"
"""M-Lab's name for traces of scamper."""
HOPS = "hopannotation1"
"""M-Lab's name for what is known about the addresses that traces met."""
CONNECTIONS = "connections"
"""Our name for what became of each connection."""
_MODE = 0o444
_LEVEL = 6


@dataclass(frozen=True)
class Naming:
    """What the names of archives and of the files in them say."""

    agent: str
    """The vantage point: M-Lab's ``<machine>-<site>``."""
    experiment: str
    """The service that is measured."""
    version: str
    """Of this program."""

    def name(self, datatype: str, archive: Archive, suffix: str) -> str:
        """Return the name of an archive, with the folders of its day."""
        when = datetime.fromtimestamp(archive.cut, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        folder = archive.day.replace("-", "/")
        # Several archives of one moment are of different days.
        file = f"{when}-{datatype}-{self.agent}-{self.experiment}.{suffix}"
        return f"{datatype}/{folder}/{file}"


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    name: str
    content: bytes
    at: float
    """What it says of its age, in seconds since 1970."""


def name_file(kept: Kept) -> str:
    """Return the name of a connection's file in an archive.

    Its time is that at which the trace began, also of a copy.
    """
    began = datetime.fromtimestamp(kept.began, UTC)
    return f"{began:%Y/%m/%d/%Y%m%dT%H%M%SZ}_{kept.uuid}.jsonl"


def write_file(kept: Kept, version: str) -> bytes:
    """Return the content of a connection's file: M-Lab's line, and scamper's three."""
    is_copy = kept.uuid != kept.traced
    metadata = {
        "UUID": kept.uuid,
        "TracerouteCallerVersion": version,
        "CachedResult": is_copy,
        "CachedUUID": kept.traced if is_copy else "",
    }
    line = json.dumps(metadata, separators=(",", ":"))
    return f"{line}\n".encode() + kept.text


def write_traces(
    kept: Iterable[Kept], archive: Archive, version: str, file: Path
) -> int:
    """Write an archive of traces; return their number.

    The same traces give the same bytes.
    """
    members = (
        Member(name_file(each), write_file(each, version), each.began) for each in kept
    )
    return _write_tar(members, archive, file)


def write_hops(
    hops: Iterable[tuple[Hop, str]], archive: Archive, hostname: str, file: Path
) -> int:
    """Write an archive of what is known about hops; return their number."""
    members = (write_hop(hop, told, hostname) for hop, told in hops)
    return _write_tar(members, archive, file)


def write_hop(hop: Hop, told: str, hostname: str) -> Member:
    """Return the file about a hop. ``told`` is what is known about it, as JSON."""
    seen = datetime.fromtimestamp(hop.seen, UTC)
    content = {
        "ID": f"{seen:%Y%m%d}_{hostname}_{hop.address}",
        "Timestamp": seen.isoformat().replace("+00:00", "Z"),
        "Annotations": json.loads(told),
    }
    name = f"{seen:%Y/%m/%d/%Y%m%dT%H%M%SZ}_{hostname}_{hop.address}.json"
    return Member(name, json.dumps(content, separators=(",", ":")).encode(), hop.seen)


def _write_tar(members: Iterable[Member], archive: Archive, file: Path) -> int:
    count = 0
    with (
        file.open("wb") as out,
        gzip.GzipFile("", "wb", _LEVEL, out, mtime=int(archive.cut)) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.GNU_FORMAT) as tar,
    ):
        for each in members:
            member = tarfile.TarInfo(each.name)
            member.size, member.mode = len(each.content), _MODE
            member.mtime = int(each.at)
            tar.addfile(member, io.BytesIO(each.content))
            count += 1
    return count


def write_connections(
    settled: Iterable[dict[str, object]], archive: Archive, file: Path
) -> None:
    """Write what became of connections, a line of JSON each."""
    with (
        file.open("wb") as out,
        gzip.GzipFile("", "wb", _LEVEL, out, mtime=int(archive.cut)) as packed,
    ):
        for each in settled:
            line = json.dumps(each, separators=(",", ":"))
            packed.write(f"{line}\n".encode())
