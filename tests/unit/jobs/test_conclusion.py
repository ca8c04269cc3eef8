"""The Job that concludes a step looks whether it was probed to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anabranch.rounds.division import HandOut
from anabranch.runs.handouts import (
    put_hand_out,
    put_unfinished,
    read_unfinished,
    tell_blocks,
)
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import StepKeys

if TYPE_CHECKING:
    from pathlib import Path

KEYS = StepKeys("agents/team/uid/1/001-00")


def test_what_is_left_is_noted_for_the_last_hand_out_of_a_block(tmp_path: Path) -> None:
    """Whoever had it before has done nothing wrong."""
    store = DirectoryStore(tmp_path)
    for number, (agent, blocks) in enumerate(
        [("a", (0, 1)), ("b", (2, 3)), ("b", (1,))]
    ):
        assert put_hand_out(store, KEYS, number, HandOut(agent, blocks))
    assert read_unfinished(store, KEYS) == {}
    put_unfinished(store, KEYS, [1, 2, 3])
    assert read_unfinished(store, KEYS) == {1: (2, 3), 2: (1,)}


@pytest.mark.parametrize(
    ("blocks", "told"),
    [((3,), "blocks 3"), (range(7), "blocks 0, 1, 2, 3, 4 and 2 more")],
)
def test_few_blocks_are_told_by_number(blocks: tuple[int, ...], told: str) -> None:
    """A plan may have a thousand."""
    assert tell_blocks(blocks).endswith(told)
