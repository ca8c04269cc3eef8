"""The queue of connections: who is traced when, and what becomes of the others."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing as closed
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from anabranch_engine import PrefixSet

from anabranch.connections.waiting import Traced, Waiting
from queues import NOW, TERMS, add, begin, closing, end, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def test_connections_of_a_client_share_a_trace(file: Path, waiting: Waiting) -> None:
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
    assert settle(file, 610) == {"a": traced, "b": copied, "c": copied, "d": copied}
    assert waiting.counts.waiting == 1


def test_a_client_that_could_not_be_probed_is_tried_again(
    file: Path, waiting: Waiting
) -> None:
    """An error is not a result that others get copies of."""
    add(waiting, closing("a", "240.0.1.1"))
    (number,) = begin(waiting).values()
    waiting.refuse(number, "no route", NOW)
    add(waiting, closing("b", "240.0.1.1"), at=1)
    assert list(begin(waiting, at=1)) == ["240.0.1.1"]
    assert settle(file, 1) == {"a": ("dropped", "no route")}


def test_netblocks_take_turns(waiting: Waiting) -> None:
    """However many clients of one end their connections first."""
    many = [f"3fff:0:0:1::{k}" for k in range(1, 9)]
    clients = [*many, "3fff:0:0:2::1", "3fff:0:0:3::1"]
    add(waiting, *(closing(client, client) for client in clients))
    assert set(begin(waiting, room=3)) == {many[0], *clients[-2:]}
    add(waiting, closing("more", "3fff:0:0:4::1"))
    assert set(begin(waiting, room=2)) == {"3fff:0:0:4::1", many[1]}


def test_a_trace_that_was_cut_is_next(file: Path) -> None:
    """At an end that the process knows of, unlike a kill."""
    with closed(Waiting(file, TERMS)) as queue:
        add(queue, closing("a", "240.0.1.1"))
        assert begin(queue)
        add(queue, closing("b", "240.0.2.1"), closing("c", "240.0.1.1"), at=1)
        queue.put_back()
        assert (queue.counts.running, queue.counts.waiting) == (0, 3)
    with closed(Waiting(file, TERMS)) as queue:
        queue.resume(NOW + 10)
        begun = begin(queue, room=1, at=10)
        assert list(begun) == ["240.0.1.1"]
        end(queue, begun["240.0.1.1"], at=11)
    assert settle(file, 11) == {"a": ("traced", None), "c": ("copied", None)}


def test_other_terms_hold_for_what_waits_already(file: Path) -> None:
    """Those who came last have no room; each netblock has its share, as before."""
    names = {"a": "240.0.1.1", "b": "240.0.1.2", "c": "240.0.1.3", "d": "240.0.2.1"}
    with closed(Waiting(file, TERMS)) as queue:
        add(queue, *(closing(name, client) for name, client in names.items()))
        add(queue, closing("e", "240.0.3.1"), closing("f", "240.0.4.1"))
    with closed(Waiting(file, TERMS)) as queue:
        queue.resume(NOW + 1)
        assert (queue.counts.waiting, queue.counts.dropped) == (6, 0)
    excluded = PrefixSet(["240.0.3.0/24"])
    terms = replace(TERMS, max_waiting=4, excluded=excluded)
    with closed(Waiting(file, terms)) as queue:
        queue.resume(NOW + 2)
        assert queue.counts.waiting == 4
        assert queue.counts.reasons == {"excluded": 1, "queue full": 1}
    assert settle(file, 2) == {
        "c": ("dropped", "queue full"),
        "e": ("dropped", "excluded"),
    }
    with closed(Waiting(file, replace(terms, max_wait=60))) as queue:
        queue.resume(NOW + 61)
        assert not begin(queue, at=61)
    assert {reason for _, reason in settle(file, 61).values()} == {"waited too long"}


def test_no_copy_shows_a_client_that_is_to_be_hidden(file: Path) -> None:
    """Nor is it traced again before its time."""
    with closed(Waiting(file, TERMS)) as queue:
        add(queue, closing("a", "240.0.1.1"))
        (number,) = begin(queue).values()
        end(queue, number)
    with closed(Waiting(file, replace(TERMS, hides_clients=True))) as queue:
        add(queue, closing("b", "240.0.1.1"), at=1)
        assert not begin(queue, at=599)
        (number,) = begin(queue, at=600).values()
        end(queue, number, at=600)
    with closed(Waiting(file, TERMS)) as queue:
        add(queue, closing("c", "240.0.1.1"), at=601)
    traced = ("traced", None)
    assert settle(file, 601) == {"a": traced, "b": traced, "c": ("copied", None)}


def test_no_more_wait_than_may(file: Path, waiting: Waiting) -> None:
    """Copies need no room, and what is excluded takes none."""
    queue = waiting
    excluded = PrefixSet(["240.0.0.0/24"])
    queue.terms = replace(TERMS, max_waiting=3, excluded=excluded)
    add(queue, closing("known", "240.0.9.1"))
    (number,) = begin(queue).values()
    end(queue, number)
    names = [*"abcde", "known2"]
    clients = [*(f"240.0.{k}.1" for k in range(5)), "240.0.9.1"]
    add(queue, *map(closing, names, clients))
    dropped = {"a": ("dropped", "excluded"), "e": ("dropped", "queue full")}
    copied = {"known": ("traced", None), "known2": ("copied", None)}
    assert settle(file) == dropped | copied
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


def test_a_connection_waits_no_longer_than_it_may(file: Path, waiting: Waiting) -> None:
    """By the time at which it was heard of: clocks differ."""
    add(waiting, replace(closing("a", "240.0.1.1"), at=0.0))
    add(waiting, closing("b", "240.0.2.1"), at=1000)
    assert list(begin(waiting, at=1801)) == ["240.0.2.1"]
    assert settle(file, 1801) == {"a": ("dropped", "waited too long")}


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
    assert settle(file, 612) == {"a": ("traced", None)}
    queue.close()


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
                queue.end(number, Traced(NOW + starts[client][-1], b""), NOW + at)
        if chance.random() < 0.02:
            _leave(queue, [starts[client] for client in running.values()], chance)
            queue = Waiting(file, replace(TERMS, max_waiting=40))
            queue.resume(NOW + at)
            running.clear()
        outcomes |= _take(file, at, outcomes)
    for number in running:
        end(queue, number, at)
    for _ in range(3):
        at += 2000
        for number in begin(queue, 1000, at).values():
            end(queue, number, at)
        outcomes |= _take(file, at, outcomes)
    assert outcomes.keys() == told
    assert {outcome for outcome, _ in outcomes.values()} == {
        *("traced", "copied", "dropped")
    }
    for times in starts.values():
        assert all(b - a >= 600 for a, b in pairwise(times))
    queue.close()


def _leave(queue: Waiting, starts: list[list[float]], chance: random.Random) -> None:
    """End a process; if it knows of that, its last traces do not count."""
    if chance.random() < 0.5:
        queue.put_back()
        for times in starts:
            times.pop()
    queue.close()


def _take(
    file: Path, at: float, known: dict[str, tuple[Any, Any]]
) -> dict[str, tuple[Any, Any]]:
    found = settle(file, at)
    assert not found.keys() & known.keys()
    return found
