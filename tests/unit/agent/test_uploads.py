"""Which parts go to the store, and what those there say."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.api.round import PlanRef
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import StepKeys
from anabranch_agent.depot import (
    Depot,
    OvertakenError,
    PartsBrokenError,
    PlanMismatchError,
    StoreAwayError,
    read_part,
)
from anabranch_agent.parts import Totals, find_waiting, sum_parts
from anabranch_agent.uploads import Uploads

if TYPE_CHECKING:
    from pathlib import Path

KEYS = StepKeys("agents/paris/1/1/001-00")
COUNTERS = (
    *("sent", "unsent", "forbidden", "unroutable", "replies", "foreign"),
    *("forged", "unplanned", "late", "excess", "dropped", "stalled_us"),
)


def write_part(folder: Path, block: int, start: int, end: int, **counts: int) -> Path:
    """A part with a reply for each two slots, which are its probes too."""
    file = folder / f"{block:05}" / f"{start:016}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "plan": 1,
        "block": block,
        "start": start,
        "end": end,
        "probes": end - start,
        "counts": dict.fromkeys(COUNTERS, 0) | counts,
    }
    table = pa.table({"reply": list(range((end - start) // 2))})
    metadata = {"anabranch.part": json.dumps(head)}
    pq.write_table(table.replace_schema_metadata(metadata), file)
    return file


@dataclass
class Place:
    """A store, a folder whose parts go there, and who takes them."""

    store: Path
    folder: Path
    depot: Depot
    uploads: Uploads
    uploaded: list[None]

    def put(self, block: int, start: int, end: int, **counts: int) -> Path:
        """A part that is in the store."""
        return write_part(self.store / KEYS.replies, block, start, end, **counts)

    def leave(self, block: int, start: int, end: int, **counts: int) -> Path:
        """A part that waits in the folder."""
        return write_part(self.folder, block, start, end, **counts)

    def list_stored(self) -> list[tuple[int, int, int]]:
        """Block, start and end of the parts in the store."""
        files = sorted((self.store / KEYS.replies).glob("*/*.parquet"))
        heads = map(read_part, files)
        return [(head.block, head.start, head.end) for head in heads]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty store, and an empty folder."""
    store, folder = tmp_path / "store", tmp_path / "parts"
    depot = Depot(
        DirectoryStore(store), KEYS, patience=5, measure=lambda _: nullcontext()
    )
    uploaded: list[None] = []
    uploads = Uploads(folder, depot, lambda: uploaded.append(None))
    return Place(store, folder, depot, uploads, uploaded)


def test_parts_go_up_block_by_block_and_in_order(place: Place) -> None:
    """And leave the folder; what is not whole yet stays."""
    for block, start, end in ((1, 0, 8), (0, 4, 10), (0, 0, 4)):
        place.leave(block, start, end)
    unfinished = place.folder / "00000" / "0000000000000010.unfinished"
    unfinished.touch()
    waiting = find_waiting(place.folder)
    assert [(part.block, part.start) for part in waiting] == [(0, 0), (0, 4), (1, 0)]
    asyncio.run(place.uploads.go_on())
    assert place.list_stored() == [(0, 0, 4), (0, 4, 10), (1, 0, 8)]
    assert place.uploads.ends == {0: 10, 1: 8}
    assert (place.uploads.parts, place.uploads.block) == (3, 1)
    assert len(place.uploaded) == 3
    assert [file.name for file in place.folder.glob("*/*")] == [unfinished.name]


def test_a_start_takes_up_what_is_stored_and_then_what_was_left(place: Place) -> None:
    """What does not go on behind the store's last part is of no use."""
    place.put(0, 0, 100, sent=100)
    place.put(1, 0, 50, sent=150)
    place.leave(0, 0, 100)  # it was stored, but not removed
    place.leave(1, 50, 70, sent=170)
    place.leave(1, 70, 80, sent=180)
    place.leave(2, 30, 40)  # those before it are lost
    totals = asyncio.run(place.uploads.resume())
    assert place.list_stored() == [(0, 0, 100), (1, 0, 50), (1, 50, 70), (1, 70, 80)]
    assert place.uploads.ends == {0: 100, 1: 80}
    assert place.uploads.parts == 4
    assert (totals.sent, totals.replies) == (180, 90)
    assert not find_waiting(place.folder)


def test_who_finds_its_own_part_stored_goes_on(place: Place) -> None:
    """As after an answer that was lost on its way."""
    place.leave(0, 0, 10)
    place.put(0, 0, 10)
    place.leave(0, 10, 20)
    asyncio.run(place.uploads.go_on())
    assert place.list_stored() == [(0, 0, 10), (0, 10, 20)]
    assert not find_waiting(place.folder)


def test_who_finds_anothers_part_stored_begins_anew(place: Place) -> None:
    """Behind it: that one counts, and what is here does not go on from there."""
    place.leave(0, 0, 10)
    place.leave(0, 10, 20)
    place.put(0, 0, 15)
    with pytest.raises(OvertakenError, match="ends with slot 15, not 10"):
        asyncio.run(place.uploads.go_on())
    asyncio.run(place.uploads.resume())
    assert place.list_stored() == [(0, 0, 15)]
    assert place.uploads.ends == {0: 15}
    assert not find_waiting(place.folder)


def test_a_part_that_does_not_go_on_is_never_put_there(place: Place) -> None:
    """Nor is a damaged one."""
    place.leave(0, 10, 20)
    with pytest.raises(OvertakenError, match="does not go on at slot 0"):
        asyncio.run(place.uploads.go_on())
    place.leave(0, 0, 10).write_bytes(b"PAR1")
    with pytest.raises(OvertakenError, match=r"0000000000000000\.parquet: this is no"):
        asyncio.run(place.uploads.go_on())
    assert not place.list_stored()
    place.uploads.clear()
    assert not find_waiting(place.folder)


def test_parts_with_a_gap_in_the_store_are_told(place: Place) -> None:
    """Nothing can be put between them."""
    place.put(3, 0, 10)
    place.put(3, 20, 30)
    reason = "of block 3 the part that begins with 10 is missing"
    with pytest.raises(PartsBrokenError, match=reason):
        asyncio.run(place.uploads.resume())


def test_counts_add_up_over_the_probers_of_a_round(place: Place) -> None:
    """Each begins with nothing counted; probes and replies are those of the parts."""
    files = [
        place.put(0, 0, 10, sent=12, replies=5, forged=1, unsent=2),
        place.put(0, 10, 20, sent=22, replies=9, forged=2, late=1, dropped=4),
        place.put(0, 20, 24, sent=4, excess=1, unplanned=1),  # another prober
        place.put(1, 0, 8, sent=12, excess=3, unplanned=1, foreign=70),
    ]
    stored = sum_parts(map(read_part, files))
    assert stored.totals == Totals(
        sent=32, replies=16, invalid=3 + 4, unsent=0, dropped=4
    )
    assert (stored.parts, stored.ends) == (4, {0: 24, 1: 8})


def test_a_plan_is_the_one_that_the_round_means(place: Place, tmp_path: Path) -> None:
    """By its digest; and a store that is away is told as that."""
    (place.store / "plan").parent.mkdir(parents=True)
    (place.store / "plan").write_bytes(b"a plan")
    digest = "53a2b0ad2d6cb3ec3ab1e38b9ebf3c0c0ae8f9a7ee1ab4bf76ba1e5e0c2f2b9b"
    other = PlanRef(key="plan", digest=f"sha256:{digest}", blocks=1, probes=1)
    with pytest.raises(PlanMismatchError, match="plan has the digest sha256:"):
        asyncio.run(place.depot.fetch_plan(other, tmp_path / "copies"))
    missing = other.model_copy(update={"key": "nothing"})
    with pytest.raises(StoreAwayError):
        asyncio.run(place.depot.fetch_plan(missing, tmp_path / "copies"))
