"""Which links are suspect, by the queries of a round job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.warehouse.changes import find_changes, find_exclusions, find_steps
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.queries import find_links, find_prefixes, judge_links

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.embedded import EmbeddedEngine

Reply = tuple[int, int, int, int, str, int]
"""Prefix, flow, TTL, round, the interface's name, and when the probe was sent."""
Links = dict[tuple[int, str, str], bool]
"""Whether a link is suspect, by its prefix and ends."""

PREFIXES, FLOWS = range(8), range(6)
REPLIES = pa.schema(
    pa.field(name, kind, nullable=False)
    for name, kind in (
        ("prefix_index", pa.uint32()),
        ("flow", pa.uint32()),
        ("ttl", pa.uint8()),
        ("round", pa.uint8()),
        ("addr", pa.binary(16)),
        ("sent", pa.uint64()),
    )
)


@dataclass
class Survey:
    """What is known of a survey's steps, each in files of its own."""

    engine: EmbeddedEngine
    folder: Path
    files: dict[str, list[Path]] = field(default_factory=dict)

    def conclude(self, replies: list[Reply]) -> None:
        """Find the prefixes and links of a step, as a round job does."""
        earlier = self._read("replies") if "replies" in self.files else None
        rows = [(*row[:4], row[4].encode().ljust(16, b"\0"), row[5]) for row in replies]
        columns = [list(column) for column in zip(*rows, strict=True)]
        step = self._place("replies")
        pq.write_table(pa.table(columns, schema=REPLIES), step)
        new, every = f"SELECT * FROM file('{step}')", self._read("replies")
        exclusions = self.engine.read(find_exclusions(every, 1)).to_pylist()
        steps = self.engine.read(find_steps(every)).to_pylist()
        changes = find_changes(every, exclusions, steps)
        known = find_prefixes(new, earlier, changes)
        self.engine.write(known, self._place("prefixes"))
        prefixes = f"({self._read('prefixes')})"
        links = find_links(new, earlier, prefixes, repeats=True)
        self.engine.write(links, self._place("links"))

    def judge(self) -> Links:
        """Return the links of all steps."""
        found = f"({self._read('links')})"
        query = judge_links(found, f"({self._read('prefixes')})")
        rows = self.engine.read(
            "SELECT prefix_index, near_addr, far_addr, min(is_suspect) AS is_suspect "
            f"FROM {query} GROUP BY ALL"
        )
        return {
            (
                row["prefix_index"],
                row["near_addr"].rstrip(b"\0").decode(),
                row["far_addr"].rstrip(b"\0").decode(),
            ): bool(row["is_suspect"])
            for row in rows.to_pylist()
        }

    def _place(self, kind: str) -> Path:
        files = self.files.setdefault(kind, [])
        files.append(self.folder / f"{kind}-{len(files)}.parquet")
        return files[-1]

    def _read(self, kind: str) -> str:
        return " UNION ALL ".join(
            f"SELECT * FROM file('{file}')" for file in self.files[kind]
        )


@pytest.fixture(scope="module")
def embedded() -> EmbeddedEngine:
    """An engine in this process."""
    return open_embedded()


@pytest.fixture
def survey(embedded: EmbeddedEngine, tmp_path: Path) -> Survey:
    """A survey that has found nothing yet."""
    return Survey(embedded, tmp_path)


def answer(
    prefixes: range, ttl: int, round_: int, name: str, begin: int
) -> list[Reply]:
    """The replies of an interface to the flows of a round to some prefixes."""
    return [
        (prefix, round_ * len(FLOWS) + flow, ttl, round_, name, begin + 10 * flow)
        for prefix in prefixes
        for flow in FLOWS
    ]


def test_a_change_counts_where_a_later_round_does_not_look(survey: Survey) -> None:
    """It came between two windows, and the second round shows it."""
    survey.conclude(answer(PREFIXES, 10, 1, "before", 1_000))
    survey.conclude(answer(PREFIXES, 11, 1, "behind", 2_000))
    asked = PREFIXES[:-1]
    survey.conclude(
        answer(asked, 10, 2, "after", 3_000) + answer(asked, 11, 2, "behind", 3_000)
    )
    wrong = {(prefix, "before", "behind"): True for prefix in PREFIXES}
    right = {(prefix, "after", "behind"): False for prefix in asked}
    assert survey.judge() == wrong | right


def test_a_window_between_steps_that_show_a_change_is_believed(survey: Survey) -> None:
    """Also to the prefix that the second round leaves out, which shows no change."""
    survey.conclude(answer(PREFIXES, 10, 1, "before", 1_000))
    survey.conclude(
        answer(PREFIXES, 11, 1, "behind", 2_000) + answer(PREFIXES, 12, 1, "end", 2_000)
    )
    survey.conclude(answer(PREFIXES[:-1], 10, 2, "after", 3_000))
    within = {(prefix, "behind", "end"): False for prefix in PREFIXES}
    across = {(prefix, "before", "behind"): True for prefix in PREFIXES}
    assert survey.judge() == within | across


def test_links_on_one_side_of_a_change_are_believed(survey: Survey) -> None:
    """Also those to a prefix that the second round leaves out."""
    survey.conclude(
        answer(PREFIXES, 10, 1, "before", 1_000)
        + answer(PREFIXES, 11, 1, "beyond", 1_000)
    )
    asked = PREFIXES[:-1]
    survey.conclude(
        answer(asked, 10, 2, "after", 3_000) + answer(asked, 11, 2, "behind", 3_000)
    )
    earlier = {(prefix, "before", "beyond"): False for prefix in PREFIXES}
    later = {(prefix, "after", "behind"): False for prefix in asked}
    assert survey.judge() == earlier | later


def test_a_window_before_a_change_is_believed_by_what_other_prefixes_show(
    survey: Survey,
) -> None:
    """The path gets longer; the last prefix alone has a router of its own behind it."""
    asked, alone = PREFIXES[:-1], PREFIXES[-1:]
    survey.conclude(answer(PREFIXES, 10, 1, "before", 1_000))
    survey.conclude(
        answer(asked, 11, 1, "behind", 2_000) + answer(alone, 11, 1, "own", 2_000)
    )
    survey.conclude(
        answer(asked, 10, 2, "after", 3_000)
        + answer(asked, 11, 2, "before", 3_000)
        + answer(asked, 12, 2, "behind", 3_000)
    )
    found = survey.judge()
    assert not found[alone[0], "before", "own"]
    assert not any(found[prefix, "before", "behind"] for prefix in asked)


def loop(prefix: int, flow: int, first: int, last: int) -> list[Reply]:
    """The replies of a loop between an exit at TTL 18, even ones, and an edge."""
    return [
        (prefix, flow, ttl, 1, "edge" if ttl % 2 else "exit", ttl)
        for ttl in range(first, last + 1)
    ]


def test_the_way_back_of_a_loop_is_suspect(survey: Survey) -> None:
    """Even if the flow that crosses it has no reply that shows the way there."""
    survey.conclude([*loop(0, 0, 18, 19), *loop(0, 1, 19, 20)])
    survey.conclude(loop(0, 0, 21, 30))
    assert survey.judge() == {(0, "exit", "edge"): False, (0, "edge", "exit"): True}


def test_the_way_back_is_suspect_if_a_window_ends_where_the_loop_begins(
    survey: Survey,
) -> None:
    """The step sees one repetition alone, which may as well be a route change."""
    survey.conclude([*loop(0, 0, 19, 20), *loop(0, 1, 18, 20)])
    survey.conclude(loop(0, 0, 21, 30))
    assert survey.judge()[0, "edge", "exit"]


def test_the_way_back_of_one_loop_is_believed_elsewhere(survey: Survey) -> None:
    """What a loop shows is of its prefix alone, and of no other links there."""
    survey.conclude(
        [
            *((0, 0, ttl, 1, name, ttl) for ttl, name in ((16, "core"), (17, "side"))),
            *loop(0, 1, 18, 29),
            (1, 0, 14, 1, "edge", 14),
            (1, 0, 15, 1, "exit", 15),
        ]
    )
    assert survey.judge() == {
        (0, "core", "side"): False,
        (0, "exit", "edge"): False,
        (0, "edge", "exit"): True,
        (1, "edge", "exit"): False,
    }


def test_the_way_back_is_the_direction_seen_later_at_the_same_ttl(
    survey: Survey,
) -> None:
    """A route change moves the loop by a hop, and its begin is not seen again."""
    survey.conclude(loop(0, 0, 18, 27))
    survey.conclude(
        [
            (0, 1, ttl, 2, "exit" if ttl % 2 else "edge", 100 + ttl)
            for ttl in range(18, 28)
        ]
    )
    assert survey.judge() == {(0, "exit", "edge"): False, (0, "edge", "exit"): True}


def test_both_directions_are_believed_without_a_loop(survey: Survey) -> None:
    """Flows take paths of different lengths, and the longer one meets an end later."""
    survey.conclude(
        [
            *((0, 0, ttl, 1, name, ttl) for ttl, name in ((8, "left"), (9, "right"))),
            *((0, 1, ttl, 1, name, ttl) for ttl, name in ((9, "right"), (10, "left"))),
        ]
    )
    assert survey.judge() == {(0, "left", "right"): False, (0, "right", "left"): False}
