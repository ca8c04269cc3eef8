"""Whose trace begins next, beside a search of all who wait."""

from __future__ import annotations

import random
from collections import Counter

from anabranch.connections.turns import Turns


def test_who_takes_turns_is_who_a_search_of_all_would_find() -> None:
    """The netblock with the fewest traces, then whoever waits longest; from a seed."""
    chance = random.Random(2)  # noqa: S311 (the same each time)
    turns = Turns()
    waiting: dict[str, tuple[int, float, str]] = {}
    running: dict[str, str] = {}
    for number in range(5000):
        block = f"b{min(chance.randrange(20), chance.randrange(20))}"
        client, since = (
            f"{block}-{chance.randrange(200)}",
            chance.choice([0, number + 9]),
        )
        turns.join(client, block, number, since)
        if client not in running:
            waiting.setdefault(client, (number, since, block))
        many = Counter(running.values())
        due = [
            (many[block], first, client)
            for client, (first, since, block) in waiting.items()
            if since <= number
        ]
        if chance.random() < 0.5:
            expected = min(due)[-1] if due else None
            taken = turns.take(number)
            assert (taken[0] if taken else None) == expected
            if taken:
                running[taken[0]] = taken[1]
                del waiting[taken[0]]
        if running and chance.random() < 0.4:
            ended = chance.choice(sorted(running))
            turns.leave(ended, running.pop(ended))
    assert len(waiting) > 500


def test_what_is_kept_does_not_grow_with_the_traces() -> None:
    """However many begin and end while others wait."""
    turns = Turns()
    for number in range(20_000):
        turns.join(f"client{number}", f"block{number % 10}", number, 0)
        if number >= 100:
            taken = turns.take(0)
            assert taken
            turns.leave(*taken)
    assert len(turns._heads) < 200  # noqa: SLF001 (memory)
