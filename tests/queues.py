"""Queues of connections that tests fill and empty; times are seconds from `NOW`."""

from __future__ import annotations

from contextlib import closing as closed
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from anabranch_engine import PrefixSet

from anabranch.connections.closing import Closing
from anabranch.connections.settled import Settled
from anabranch.connections.waiting import Terms, Traced, Waiting

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_795_953_600.0
TERMS = Terms(
    cache=600,
    max_waiting=100,
    max_wait=1800,
    excluded=PrefixSet([]),
    hides_clients=False,
)
SERVER = ip_address("198.18.0.2")


def closing(uuid: str, client: str) -> Closing:
    """A connection that has ended."""
    return Closing(uuid, ip_address(client), 5000, SERVER, 443, NOW)


def add(queue: Waiting, *closings: Closing, at: float = 0, **more: Any) -> None:
    """Let connections end, some seconds after the beginning."""
    usual: dict[str, Any] = {"missed": (), "heard_until": NOW + at}
    queue.add(closings, now=NOW + at, **usual | more)


def begin(queue: Waiting, room: int = 10, at: float = 0) -> dict[str, int]:
    """Begin traces; return their numbers by client."""
    return {client: number for number, client in queue.begin(room, NOW + at)}


def end(queue: Waiting, number: int, at: float = 0) -> None:
    """End a trace that began and ended at a time."""
    queue.end(number, Traced(NOW + at, b"text"), NOW + at)


def settle(file: Path, at: float = 0) -> dict[str, tuple[Any, Any]]:
    """The outcome and reason of each connection that has one, by UUID; in archives."""
    found = {}
    with closed(Settled(file, TERMS.cache)) as settled:
        for archive in settled.cut(NOW + at, NOW + at):
            for row in settled.list_settled(archive):
                if "uuid" in row:
                    found[str(row["uuid"])] = row["outcome"], row["reason"]
            settled.forget(archive, NOW + at)
    return found
