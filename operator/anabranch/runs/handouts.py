"""Read and write the log of what was handed out to the agents of a team.

An agent may say that it has probed a hand-out to its end when its parts end before. The
Job that concludes the step finds that out, and notes it beside the log.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from anabranch.rounds.division import HandOut, find_owners

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anabranch.store.keys import StepKeys
    from anabranch.store.store import Store

_TOLD = 5
"""How many blocks are told by number."""


def read_hand_outs(
    store: Store, keys: StepKeys, known: Sequence[HandOut] = ()
) -> tuple[HandOut, ...]:
    """Return the hand-outs of a step in order, without rereading ``known``."""
    given = list(known)
    while True:
        try:
            told = json.loads(store.get(keys.hand_out(len(given))))
        except FileNotFoundError:
            return tuple(given)
        given.append(HandOut(told["agent"], tuple(told["blocks"])))


def put_hand_out(store: Store, keys: StepKeys, number: int, given: HandOut) -> bool:
    """Put the hand-out with a number; return False if another one has the number.

    Two that hand out at once can't hand out the same blocks: both want the next number.
    """
    return store.put(keys.hand_out(number), json.dumps(asdict(given)).encode())


def read_unfinished(store: Store, keys: StepKeys) -> dict[int, tuple[int, ...]]:
    """Return the blocks that are not at their end, by the number of the hand-out.

    Their agents said that they are.
    """
    return {
        int(key.removeprefix(f"{keys.unfinished}/").removesuffix(".json")): tuple(
            json.loads(store.get(key))["blocks"]
        )
        for key in store.list(keys.unfinished)
    }


def put_unfinished(store: Store, keys: StepKeys, blocks: Iterable[int]) -> None:
    """Note blocks that are not at their end, for the hand-out that each belongs to."""
    owners = find_owners(read_hand_outs(store, keys))
    left: dict[int, list[int]] = {}
    for block in blocks:
        left.setdefault(owners[block], []).append(block)
    for number, its in left.items():
        store.put(keys.left_of(number), json.dumps({"blocks": its}).encode())


def tell_blocks(blocks: Sequence[int]) -> str:
    """Return which blocks are not at their end, in words."""
    some = ", ".join(map(str, blocks[:_TOLD]))
    more = f" and {len(blocks) - _TOLD} more" if len(blocks) > _TOLD else ""
    return f"its parts end before the last slot of blocks {some}{more}"
