"""What is settled: what archives have of it, and when."""

from __future__ import annotations

from contextlib import closing as closed
from typing import TYPE_CHECKING

import pytest

from anabranch.connections.closing import Missed
from anabranch.connections.settled import Settled
from anabranch.connections.waiting import Traced, Waiting
from queues import NOW, TERMS, add, begin, closing, end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    """A queue with nothing in it."""
    with closed(Waiting(tmp_path / "queue", TERMS)) as queue:
        yield queue


@pytest.fixture
def settled(waiting: Waiting, tmp_path: Path) -> Iterator[Settled]:
    """What is settled of it."""
    assert waiting
    with closed(Settled(tmp_path / "queue", TERMS.cache)) as queue:
        yield queue


def test_an_archive_is_cut_once_and_has_the_traces_of_one_day(
    waiting: Waiting, settled: Settled
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
    assert settled.cut(NOW - 1, NOW) == []
    cut = settled.cut(NOW, NOW + 86_400)
    assert [each.day for each in cut] == ["2026-11-29", "2026-11-30"]
    rows = [list(settled.list_settled(each)) for each in cut]
    outcomes = [[row["outcome"] for row in each] for each in rows]
    assert outcomes == [["traced", "missed"], ["traced"]]
    kept = [[each.uuid for each in settled.list_kept(archive)] for archive in cut]
    assert kept == [["a"], ["b"]]
    add(waiting, closing("c", "240.0.1.1"), at=1)
    assert settled.cut(NOW, NOW + 86_401) == cut
    for archive in cut:
        settled.forget(archive, NOW + 86_402)
    (last,) = settled.cut(NOW + 86_402, NOW + 86_402)
    assert [each.traced for each in settled.list_kept(last)] == ["a"]


def test_what_was_missed_is_stored_though_nothing_else_is(
    waiting: Waiting, settled: Settled
) -> None:
    """Somebody who looks for connections finds why there are none."""
    add(waiting, missed=[Missed(NOW - 5, NOW, "nobody listened")])
    (archive,) = settled.cut(NOW, NOW)
    assert [row["outcome"] for row in settled.list_settled(archive)] == ["missed"]
    settled.forget(archive, NOW)
    assert settled.cut(NOW + 10, NOW + 10) == []


def test_a_hop_is_annotated_once_a_day(waiting: Waiting, settled: Settled) -> None:
    """However many traces meet it, and whenever somebody tells about it."""
    add(waiting, closing("a", "240.0.1.1"), closing("b", "240.0.2.1"))
    hops = ["255.0.0.1", "255.0.0.2"]
    for at, number in enumerate(begin(waiting).values()):
        waiting.end(number, Traced(NOW + at, b"", hops=hops), NOW + at)
    unknown = settled.list_unknown(10)
    assert [(hop.day, hop.address) for hop in unknown] == [
        ("2026-11-29", "255.0.0.1"),
        ("2026-11-29", "255.0.0.2"),
    ]
    settled.tell([(unknown[0], '{"Geo": {}}')])
    (archive,) = settled.cut(NOW + 1, NOW + 1)
    assert list(settled.list_hops(archive)) == [(unknown[0], '{"Geo": {}}')]
    settled.forget(archive, NOW + 1)
    settled.tell([(hop, "{}") for hop in settled.list_unknown(10)])
    (archive,) = settled.cut(NOW + 2, NOW + 2)
    assert [hop.address for hop, _ in settled.list_hops(archive)] == ["255.0.0.2"]
    settled.forget(archive, NOW + 2)
    add(waiting, closing("c", "240.0.3.1"), closing("d", "240.0.4.1"), at=3)
    first, second = begin(waiting, at=3).values()
    waiting.end(first, Traced(NOW + 3, b"", hops=hops), NOW + 3)
    assert settled.list_unknown(10) == []
    waiting.end(second, Traced(NOW + 86_400, b"", hops=hops), NOW + 86_400)
    assert [hop.day for hop in settled.list_unknown(10)] == ["2026-11-30"] * 2


def test_what_a_store_that_was_away_lacks_is_kept(
    waiting: Waiting, settled: Settled
) -> None:
    """For days; also once a later archive is stored."""
    for at in (0, 5 * 86_400):
        add(waiting, closing(f"{at}", "240.0.1.1"), at=at)
        (number,) = begin(waiting, at=at).values()
        waiting.end(number, Traced(NOW + at, b"", hops=["255.0.0.1"]), NOW + at)
    settled.tell([(hop, "{}") for hop in settled.list_unknown(10)])
    first, second = settled.cut(NOW + 6 * 86_400, NOW + 6 * 86_400)
    settled.forget(second, NOW + 6 * 86_400)
    assert [hop.address for hop, _ in settled.list_hops(first)] == ["255.0.0.1"]
    assert [each.uuid for each in settled.list_kept(first)] == ["0"]
