"""When addresses came or went, by those that exclude each other in time."""

from __future__ import annotations

from anabranch.warehouse.changes import date_addresses


def exclude(one: str, other: str, after: int, before: int) -> dict[str, str | int]:
    """A pair of addresses, the latest time of one and the earliest of the other."""
    return {
        "one_addr": one,
        "other_addr": other,
        "last_after": after,
        "first_before": before,
    }


def test_addresses_that_share_a_change_share_its_times() -> None:
    """One hop shows it between steps, and another one within a step."""
    rows = [
        exclude("A", "B", 10, 90),
        exclude("B", "C", 40, 42),
        exclude("C", "D", 41, 80),
    ]
    assert date_addresses(rows) == dict.fromkeys("ABCD", (41, 42))


def test_addresses_without_a_common_one_have_their_own_times() -> None:
    """They may be of routers that have nothing to do with each other."""
    rows = [exclude("A", "B", 10, 90), exclude("C", "D", 40, 42)]
    wide, narrow = dict.fromkeys("AB", (10, 90)), dict.fromkeys("CD", (40, 42))
    assert date_addresses(rows) == wide | narrow


def test_changes_that_follow_one_another_are_told_apart() -> None:
    """A gives way to B, and B to C: only B came and went."""
    rows = [
        exclude("A", "B", 10, 12),
        exclude("B", "C", 50, 55),
        exclude("A", "C", 10, 55),
    ]
    assert date_addresses(rows) == {"A": (10, 12), "B": (10, 55), "C": (50, 55)}


def test_groups_join_in_any_order() -> None:
    """Also by a pair that comes last, or twice."""
    rows = [
        exclude("A", "B", 10, 90),
        exclude("C", "D", 40, 60),
        exclude("D", "C", 40, 60),
        exclude("B", "C", 20, 50),
    ]
    wanted = dict.fromkeys("ABCD", (40, 50))
    assert date_addresses(rows) == date_addresses(rows[::-1]) == wanted
