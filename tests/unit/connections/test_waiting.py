"""The queue of connections: who is traced when, and what becomes of the others."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.connections.closing import Closing, Missed
from anabranch.connections.waiting import Terms, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_795_953_600.0
TERMS = Terms(cache=600, max_waiting=100, max_wait=1800)
SERVER = ip_address("198.18.0.2")


def closing(uuid: str, client: str) -> Closing:
    """A connection that has ended."""
    return Closing(uuid, ip_address(client), 5000, SERVER, 443, NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the queue lives."""
    return tmp_path / "queue"


@pytest.fixture
def waiting(file: Path) -> Iterator[Waiting]:
    """A queue with nothing in it."""
    queue = Waiting(file, TERMS)
    yield queue
    queue.close()


def add(queue: Waiting, *closings: Closing, at: float = 0, **more: Any) -> None:
    """Let connections end, some seconds after the beginning."""
    usual: dict[str, Any] = {"missed": (), "excluded": (), "heard_until": NOW + at}
    queue.add(closings, now=NOW + at, **usual | more)


def begin(queue: Waiting, room: int = 10, at: float = 0) -> dict[str, int]:
    """Begin traces; return their numbers by client."""
    return {client: number for number, client in queue.begin(room, NOW + at)}


def end(queue: Waiting, number: int, at: float = 0) -> None:
    """End a trace that began and ended at a time."""
    queue.end(number, NOW + at, b"text", NOW + at)


def settle(queue: Waiting, at: float = 0) -> dict[str, tuple[Any, Any]]:
    """The outcome and reason of each connection that has one, by UUID; in archives."""
    found = {}
    for archive in queue.cut(NOW + at, NOW + at):
        for row in queue.list_settled(archive):
            if "uuid" in row:
                found[str(row["uuid"])] = row["outcome"], row["reason"]
        queue.forget(archive, NOW + at)
    return found


def test_connections_of_a_client_share_a_trace(waiting: Waiting) -> None:
    """Those that end before it, during it, and within ten minutes of its start."""
    add(waiting, closing("a", "240.0.1.1"), closing("b", "240.0.1.1"))
    (number,) = begin(waiting).values()
    add(waiting, closing("c", "240.0.1.1"), at=5)
    assert not begin(waiting, at=5)
    end(waiting, number, at=9)
    add(waiting, closing("d", "240.0.1.1"), at=600)
    add(waiting, closing("e", "240.0.1.1"), at=610)
    assert list(begin(waiting, at=610)) == ["240.0.1.1"]
    traced, copied = ("traced", None), ("copied", None)
    assert settle(waiting, 610) == {"a": traced, "b": copied, "c": copied, "d": copied}
    assert waiting.counts.waiting == 1


def test_a_client_that_could_not_be_probed_is_tried_again(waiting: Waiting) -> None:
    """An error is not a result that others get copies of."""
    add(waiting, closing("a", "240.0.1.1"))
    (number,) = begin(waiting).values()
    waiting.refuse(number, "no route", NOW)
    add(waiting, closing("b", "240.0.1.1"), at=1)
    assert list(begin(waiting, at=1)) == ["240.0.1.1"]
    assert settle(waiting, 1) == {"a": ("dropped", "no route")}


def test_netblocks_take_turns(waiting: Waiting) -> None:
    """However many clients of one end their connections first."""
    many = [f"3fff:0:0:1::{k}" for k in range(1, 9)]
    clients = [*many, "3fff:0:0:2::1", "3fff:0:0:3::1"]
    add(waiting, *(closing(client, client) for client in clients))
    assert set(begin(waiting, room=3)) == {many[0], *clients[-2:]}
    add(waiting, closing("more", "3fff:0:0:4::1"))
    assert set(begin(waiting, room=2)) == {"3fff:0:0:4::1", many[1]}


def test_no_more_wait_than_may(waiting: Waiting) -> None:
    """Copies need no room, and what is excluded takes none."""
    queue = waiting
    queue.terms = replace(TERMS, max_waiting=3)
    add(queue, closing("known", "240.0.9.1"))
    (number,) = begin(queue).values()
    end(queue, number)
    names = [*"abcde", "known2"]
    clients = [*(f"240.0.{k}.1" for k in range(5)), "240.0.9.1"]
    add(
        queue,
        *map(closing, names, clients),
        excluded=["a"],
    )
    dropped = {"a": ("dropped", "excluded"), "e": ("dropped", "queue full")}
    copied = {"known": ("traced", None), "known2": ("copied", None)}
    assert settle(queue) == dropped | copied
    assert queue.counts.waiting == 3


def test_a_flood_of_one_netblock_leaves_room_for_others(file: Path) -> None:
    """As much as it takes, also for whoever comes last, and after a restart."""
    terms = replace(TERMS, max_waiting=16)
    for flood in ("240.0.1.{}", "240.0.2.{}", "240.0.3.{}"):
        queue = Waiting(file, terms)
        clients = [flood.format(k) for k in range(20)]
        add(queue, *(closing(each, each) for each in clients))
        queue.close()
    queue = Waiting(file, terms)
    taken = {client.rpartition(".")[0]: 0 for client in begin(queue, 100)}
    assert list(taken) == ["240.0.1", "240.0.2", "240.0.3"]
    assert queue.counts.waiting == 8 + 4 + 2
    add(queue, closing("last", "240.0.4.1"))
    assert queue.counts.waiting == 15
    queue.close()


def test_a_connection_waits_no_longer_than_it_may(waiting: Waiting) -> None:
    """By the time at which it was heard of: clocks differ."""
    add(waiting, replace(closing("a", "240.0.1.1"), at=0.0))
    add(waiting, closing("b", "240.0.2.1"), at=1000)
    assert list(begin(waiting, at=1801)) == ["240.0.2.1"]
    assert settle(waiting, 1801) == {"a": ("dropped", "waited too long")}


def test_what_was_interrupted_is_traced_again_when_its_client_may_be(
    file: Path,
) -> None:
    """Nothing that was told is forgotten."""
    queue = Waiting(file, TERMS)
    add(queue, closing("a", "240.0.1.1"), closing("b", "240.0.2.1"))
    begun = begin(queue, room=1)
    assert list(begun) == ["240.0.1.1"]
    queue.close()
    queue = Waiting(file, TERMS)
    queue.resume(NOW + 10)
    assert queue.counts.waiting == 2
    assert queue.heard_until == NOW
    assert list(begin(queue, at=10)) == ["240.0.2.1"]
    assert not begin(queue, at=609)
    (number,) = begin(queue, at=611).values()
    end(queue, number, at=612)
    assert settle(queue, 612) == {"a": ("traced", None)}
    queue.close()


def test_an_archive_is_cut_once_and_has_the_traces_of_one_day(
    waiting: Waiting,
) -> None:
    """It stays the same until it is stored; what was missed stands in one."""
    add(
        waiting,
        closing("a", "240.0.1.1"),
        closing("b", "240.0.2.1"),
        missed=[Missed(NOW - 5, NOW, "nobody listened")],
    )
    begun = begin(waiting)
    end(waiting, begun["240.0.1.1"], at=0)
    end(waiting, begun["240.0.2.1"], at=86_400)
    assert waiting.cut(NOW - 1, NOW) == []
    cut = waiting.cut(NOW, NOW + 86_400)
    assert [each.day for each in cut] == ["2026-11-29", "2026-11-30"]
    rows = [list(waiting.list_settled(each)) for each in cut]
    outcomes = [[row["outcome"] for row in each] for each in rows]
    assert outcomes == [["traced", "missed"], ["traced"]]
    kept = [[each.uuid for each in waiting.list_kept(archive)] for archive in cut]
    assert kept == [["a"], ["b"]]
    add(waiting, closing("c", "240.0.1.1"), at=1)
    assert waiting.cut(NOW, NOW + 86_401) == cut
    for archive in cut:
        waiting.forget(archive, NOW + 86_402)
    (last,) = waiting.cut(NOW + 86_402, NOW + 86_402)
    assert [each.traced for each in waiting.list_kept(last)] == ["a"]


def test_what_was_missed_is_stored_though_nothing_else_is(waiting: Waiting) -> None:
    """Somebody who looks for connections finds why there are none."""
    add(waiting, missed=[Missed(NOW - 5, NOW, "nobody listened")])
    (archive,) = waiting.cut(NOW, NOW)
    assert [row["outcome"] for row in waiting.list_settled(archive)] == ["missed"]
    waiting.forget(archive, NOW)
    assert waiting.cut(NOW + 10, NOW + 10) == []


def test_a_full_disk_changes_nothing(waiting: Waiting) -> None:
    """And what is told again once there is room is taken."""
    base = waiting._base  # noqa: SLF001 (a disk of any size)
    (pages,) = base.execute("PRAGMA page_count").fetchone()
    base.execute(f"PRAGMA max_page_count = {pages}")
    many = [closing(f"{k}", f"240.0.{k}.1") for k in range(90)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        add(waiting, *many)
    assert waiting.counts.waiting == 0
    base.execute(f"PRAGMA max_page_count = {pages + 1000}")
    add(waiting, *many)
    assert waiting.counts.waiting == 90


def test_whatever_comes_each_connection_has_one_outcome(file: Path) -> None:
    """Thousands of events, errors and restarts, from a seed."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    queue = Waiting(file, replace(TERMS, max_waiting=40))
    told: set[str] = set()
    running: dict[int, str] = {}
    starts: dict[str, list[float]] = {}
    outcomes: dict[str, tuple[Any, Any]] = {}
    at = 0.0
    for step in range(1500):
        at += chance.expovariate(1 / 20)
        names = [f"{step}-{k}" for k in range(chance.randrange(4))]
        told |= set(names)
        clients = [f"240.0.{chance.randrange(25)}.1" for _ in names]
        add(queue, *map(closing, names, clients), at=at)
        for client, number in begin(queue, chance.randrange(3), at).items():
            running[number] = client
            starts.setdefault(client, []).append(at)
        for number in chance.sample(sorted(running), len(running) // 2):
            client = running.pop(number)
            if chance.random() < 0.1:
                queue.refuse(number, "no route", NOW + at)
                starts[client].pop()
            else:
                queue.end(number, NOW + starts[client][-1], b"", NOW + at)
        if chance.random() < 0.02:
            queue.close()
            queue = Waiting(file, replace(TERMS, max_waiting=40))
            queue.resume(NOW + at)
            running.clear()
        outcomes |= _take(queue, at, outcomes)
    for number in running:
        end(queue, number, at)
    for _ in range(3):
        at += 2000
        for number in begin(queue, 1000, at).values():
            end(queue, number, at)
        outcomes |= _take(queue, at, outcomes)
    assert outcomes.keys() == told
    assert {outcome for outcome, _ in outcomes.values()} == {
        *("traced", "copied", "dropped")
    }
    for times in starts.values():
        assert all(b - a >= 600 for a, b in pairwise(times))
    queue.close()


def _take(
    queue: Waiting, at: float, known: dict[str, tuple[Any, Any]]
) -> dict[str, tuple[Any, Any]]:
    found = settle(queue, at)
    assert not found.keys() & known.keys()
    return found


def test_a_hop_is_annotated_once_a_day(waiting: Waiting) -> None:
    """However many traces meet it, and whenever somebody tells about it."""
    add(waiting, closing("a", "240.0.1.1"), closing("b", "240.0.2.1"))
    hops = ["255.0.0.1", "255.0.0.2"]
    for at, number in enumerate(begin(waiting).values()):
        waiting.end(number, NOW + at, b"", NOW + at, hops)
    unknown = waiting.list_unknown(10)
    assert [(hop.day, hop.address) for hop in unknown] == [
        ("2026-11-29", "255.0.0.1"),
        ("2026-11-29", "255.0.0.2"),
    ]
    waiting.tell([(unknown[0], '{"Geo": {}}')])
    (archive,) = waiting.cut(NOW + 1, NOW + 1)
    assert list(waiting.list_hops(archive)) == [(unknown[0], '{"Geo": {}}')]
    waiting.forget(archive, NOW + 1)
    waiting.tell([(hop, "{}") for hop in waiting.list_unknown(10)])
    (archive,) = waiting.cut(NOW + 2, NOW + 2)
    assert [hop.address for hop, _ in waiting.list_hops(archive)] == ["255.0.0.2"]
    waiting.forget(archive, NOW + 2)
    add(waiting, closing("c", "240.0.3.1"), closing("d", "240.0.4.1"), at=3)
    first, second = begin(waiting, at=3).values()
    waiting.end(first, NOW + 3, b"", NOW + 3, hops)
    assert waiting.list_unknown(10) == []
    waiting.end(second, NOW + 86_400, b"", NOW + 86_400, hops)
    assert [hop.day for hop in waiting.list_unknown(10)] == ["2026-11-30"] * 2
