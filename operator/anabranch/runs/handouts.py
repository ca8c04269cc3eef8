"""Read and write the log of what was handed out to the agents of a team."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from anabranch.rounds.division import HandOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anabranch.store.keys import StepKeys
    from anabranch.store.store import Store


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
